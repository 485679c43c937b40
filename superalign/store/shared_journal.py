"""What people say during a run: lines in a file of the run folder that grows only; several processes may write.

Such a file lies outside the hash chain, since people go on when a round is sealed; what a round made of it is in the
round's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel

from superalign.errors import RunFolderError
from superalign.store.journal import Journal, read_records

T = TypeVar("T", bound=BaseModel)
_LOCK_S = 10.0


class Book(Generic[T]):
    """Records of one kind, each line whole and on the disk before `append` ends."""

    def __init__(self, path: Path, type: type[T], id_of: Callable[[T], str]) -> None:
        self.path = path
        self._type = type
        self._id_of = id_of
        self._lock = path.with_name(f".{path.stem}.lock")

    def read(self) -> list[T]:
        """Every line, in order. Raises RunFolderError for one that is no such record."""
        return list(read_records(self.path, self._type))

    def append(self, records: Sequence[T]) -> list[T]:
        """Add those whose id is not there yet, and return them. Raises RunFolderError where the disk refuses."""
        try:
            with FileLock(self._lock, timeout=_LOCK_S):
                known = {self._id_of(record) for record in self.read()}
                new = [record for record in records if self._id_of(record) not in known]
                with Journal(self.path, self._type, sync_records=1) as journal:
                    for record in new:
                        journal.append(record)
                return new
        except Timeout:
            what = f"{self.path} has been locked by another process for {_LOCK_S:.0f} s"
            raise RunFolderError(what, "end that process, then try again") from None
        except OSError as error:
            raise RunFolderError(f"{self._lock}: {error.strerror or error}", "make the run folder writable") from error
