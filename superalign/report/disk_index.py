"""Texts by key on disk, so that joining two files takes no memory whatever their order."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from itertools import groupby
from types import TracebackType
from typing import Any, Self


class Shelf:
    """JSON values by key and order, in a private temporary file of SQLite that goes when it is closed."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # the empty name: on disk, and deleted with the connection
        self._db.execute("PRAGMA journal_mode = OFF")  # nobody needs it after a crash
        self._db.execute("CREATE TABLE shelf (key TEXT, place INTEGER, value TEXT)")
        self._db.execute("CREATE INDEX by_key ON shelf (key, place)")

    def put(self, key: str, place: int, value: Any) -> None:
        """Add a value; several may stand at one place, in the order in which they came."""
        self._db.execute("INSERT INTO shelf VALUES (?, ?, ?)", (key, place, json.dumps(value)))

    def get(self, key: str, place: int) -> list[Any]:
        """The values of one key and place."""
        rows = self._db.execute("SELECT value FROM shelf WHERE key = ? AND place = ? ORDER BY rowid", (key, place))
        return [json.loads(value) for (value,) in rows]

    def groups(self) -> Iterator[tuple[str, dict[int, Any]]]:
        """Each key, in alphabetical order, with its values by place."""
        rows = self._db.execute("SELECT key, place, value FROM shelf ORDER BY key, place")
        for key, group in groupby(rows, key=lambda row: str(row[0])):
            yield key, {place: json.loads(value) for _, place, value in group}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()
