"""`events.jsonl`: when what happened. Clock times belong here and not in what the hash chain covers."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from superalign.errors import RunFolderError
from superalign.records.base import Record
from superalign.store.journal import Journal


class Event(Record):
    """One line of `events.jsonl`."""

    time: float
    """Seconds since 1970, UTC."""
    kind: str
    """`phase`, `round`, `notice`, ..."""
    payload: dict[str, JsonValue] = Field(default_factory=dict)


class Events:
    """Appends events, as well as it can: a full disk costs the event and not the run."""

    def __init__(self, path: Path) -> None:
        """Opens at the first event, so that a run folder can be looked at without being written to."""
        self.path = path
        self.lost = 0
        """Events that could not be written."""
        self._journal: Journal[Event] | None = None

    def append(self, kind: str, **payload: Any) -> None:
        """Write one event. What JSON can't hold is written as text: NaN as "NaN", a path as its name."""
        plain = json.loads(json.dumps(payload, default=str), parse_constant=str)
        try:
            if self._journal is None:
                self._journal = Journal(self.path, Event, sync_records=256, sync_ms=5000)
            self._journal.append(Event(time=round(time.time(), 3), kind=kind, payload=plain))
        except RunFolderError:
            self.lost += 1

    def close(self) -> None:
        """Sync and close; an append opens it again."""
        if self._journal is not None:
            try:
                self._journal.close()
            except RunFolderError:
                self.lost += 1
            self._journal = None
