"""Embeddings that outlive the process: one SQLite file that any number of processes may share."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
_TABLE = (
    "CREATE TABLE IF NOT EXISTS vectors (place INTEGER PRIMARY KEY, text BLOB UNIQUE NOT NULL, vector BLOB NOT NULL)"
)
_AT_ONCE = 500
"""Texts a query asks for; SQLite allows 999 parameters in its older builds."""
_WAIT_S = 30.0
"""How long a process waits for another one that writes."""


class VectorCache:
    """Vectors by model and text; where the file can't be read or written, nothing is found and nothing kept."""

    def __init__(self, path: Path, model: str, *, limit: int = 50_000) -> None:
        self.path = path
        self.model = model
        """Key of a model and of the way it is used."""
        self.limit = limit
        """Vectors of all models together (of 384 numbers: 1.6 kB each); the oldest go first."""

    def get(self, texts: Sequence[str]) -> dict[str, Vectors]:
        """The vectors that are known, each (dim,) float32."""
        by_key = {self._key(text): text for text in texts}
        keys, vectors = list(by_key), dict[str, Vectors]()
        if not self.path.exists():
            return vectors
        with contextlib.suppress(sqlite3.Error), contextlib.closing(self._connect()) as base:
            for start in range(0, len(keys), _AT_ONCE):
                some = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = base.execute(f"SELECT text, vector FROM vectors WHERE text IN ({marks})", some)
                vectors.update((by_key[key], np.frombuffer(vector, dtype="<f4")) for key, vector in rows)
        return vectors

    def put(self, vectors: Mapping[str, Vectors]) -> None:
        """Keep vectors, all of them or none."""
        rows = [(self._key(text), vector.astype("<f4").tobytes()) for text, vector in vectors.items()]
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(self._connect()) as base, base:
                base.execute(_TABLE)
                base.executemany("INSERT OR IGNORE INTO vectors (text, vector) VALUES (?, ?)", rows)
                base.execute("DELETE FROM vectors WHERE place <= (SELECT MAX(place) FROM vectors) - ?", (self.limit,))
        except sqlite3.OperationalError:  # locked for too long, no room, read-only: next time, perhaps
            return
        except sqlite3.DatabaseError:  # no database, or a damaged one: the next call starts a new one
            with contextlib.suppress(OSError):
                self.path.unlink()
        except OSError:
            return

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=_WAIT_S)

    def _key(self, text: str) -> bytes:
        return hashlib.sha256(f"{self.model}\n{text}".encode(errors="surrogatepass")).digest()
