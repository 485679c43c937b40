"""Append-only JSONL of records: what was appended survives a kill, and a torn last line costs only itself.

`Journal` is written by the run's own process, `SharedJournal` by any number of processes, `Events` as far as the disk
allows.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, overload

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, JsonValue, ValidationError

from superalign.errors import RunFolderError
from superalign.records.base import Record
from superalign.store.atomic import disk_error, encode_json, open_append, sync_folder, write_atomic

T = TypeVar("T", bound=BaseModel)
_BLOCK = 1 << 20
_LOCK_S = 10.0
"""How long a process waits for another one that appends to a shared journal."""


class Journal(Generic[T]):
    """One JSONL file of one kind of record, open for appending; iterating reads it from disk, line by line.

    Each line is handed to the system at once, so a killed process loses nothing it appended; it is synced to the disk
    in batches, so a power cut loses at most `sync_records` records or those of the last `sync_ms` before an append.
    One process writes (the run folder's lock sees to that), from one thread.
    """

    def __init__(self, path: Path, type: type[T], *, sync_records: int = 32, sync_ms: float = 500.0) -> None:
        """Open or create; raises RunFolderError where the folder can't be written to.

        A last line without its line end is cut off: its record was in flight, and is made again.
        """
        self.path = path
        self.type = type
        self.count = 0
        """Lines in the file."""
        self.torn_bytes = 0
        """Bytes of a half-written last line that opening cut off."""
        self._sync_records = sync_records
        self._sync_s = sync_ms / 1000
        self._unsynced = 0
        self._synced_at = time.monotonic()
        self._fd = -1
        try:
            is_new = not path.exists()
            self._fd = open_append(path)
            if is_new:
                sync_folder(path.parent)
            self._cut_torn_line()
        except OSError as error:
            if self._fd >= 0:
                os.close(self._fd)
            raise disk_error(path, error) from error

    def append(self, record: T) -> None:
        """Add one line. Raises RunFolderError for NaN and where the disk refuses; the file then ends as before."""
        if self._fd < 0:
            raise ValueError(f"{self.path}: the journal is closed")
        line = to_line(record, self.path)
        before = os.fstat(self._fd)
        if before.st_nlink == 0:
            raise RunFolderError(
                f"{self.path}: was deleted or replaced while it was being written",
                "`superalign resume` the run: records written since are made again",
            )
        try:
            rest = memoryview(line)
            while rest:  # a disk that fills up takes a part of the line first
                rest = rest[os.write(self._fd, rest) :]
        except BaseException as error:
            os.ftruncate(self._fd, before.st_size)
            if isinstance(error, OSError):
                raise disk_error(self.path, error) from error
            raise
        self.count += 1
        self._unsynced += 1
        if self._unsynced >= self._sync_records or time.monotonic() - self._synced_at >= self._sync_s:
            self.flush()

    def flush(self) -> None:
        """Sync what was appended to the disk."""
        if self._fd < 0 or not self._unsynced:
            return
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise disk_error(self.path, error) from error
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def close(self) -> None:
        """Flush and close; a second call does nothing."""
        if self._fd < 0:
            return
        try:
            self.flush()
        finally:
            os.close(self._fd)
            self._fd = -1

    def __iter__(self) -> Iterator[T]:
        return read_records(self.path, self.type)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _cut_torn_line(self) -> None:
        size = end = 0
        with self.path.open("rb") as file:
            while block := file.read(_BLOCK):
                self.count += block.count(b"\n")
                if (last := block.rfind(b"\n")) >= 0:
                    end = size + last + 1
                size += len(block)
        if size > end:
            os.ftruncate(self._fd, end)
            os.fsync(self._fd)
            self.torn_bytes = size - end


def to_line(record: BaseModel, path: Path) -> bytes:
    """A record as one line of UTF-8 JSON, keys in the order its class declares them.

    `path` is where it will stand, for the RunFolderError that NaN or an infinity raises.
    """
    try:
        return encode_json(record.model_dump(mode="json")).encode() + b"\n"
    except ValueError as error:
        name = getattr(record, "id", type(record).__name__)
        raise RunFolderError(
            f"{path}: the record {name} holds NaN or an infinity", "its maker must say None for what it can't tell"
        ) from error


def write_records(path: Path, records: Iterable[BaseModel]) -> None:
    """A whole JSONL file at once, atomically, in the order given."""
    write_atomic(path, (to_line(record, path) for record in records))


def read_records(path: Path, type: type[T]) -> Iterator[T]:
    """The records of a file one by one, in flat memory, also while another process appends to it.

    A missing file has none, and a last line without its line end is not there yet. Raises RunFolderError for any
    other line that is not a record, with file and line.
    """
    for number, _, line in _lines(path):
        try:
            yield type.model_validate_json(line)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            fault = f"{where}: {first['msg']}" if where else first["msg"]
            raise _broken(path, number, f"not a {type.__name__}: {fault}") from error


class Stored(Sequence[T]):
    """The records of a finished file as a sequence that holds none of them: every pass reads the file anew."""

    def __init__(self, path: Path, type: type[T]) -> None:
        self.path = path
        self.type = type

    def __iter__(self) -> Iterator[T]:
        return read_records(self.path, self.type)

    def __len__(self) -> int:
        return sum(1 for _ in _lines(self.path))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return list(self)[index]


class SharedJournal(Generic[T]):
    """Lines that people add during a run, in a file of the run folder that only grows; several processes may write.

    Each line is whole and on the disk before `append` ends. The file lies outside the hash chain, since people go on
    after a round is sealed; what a round used of it is copied to the round's folder.
    """

    def __init__(self, path: Path, type: type[T], id_of: Callable[[T], str]) -> None:
        self.path = path
        self._type = type
        self._id_of = id_of
        self._lock = path.with_name(f".{path.stem}.lock")

    def read(self) -> list[T]:
        """Every record, in order. Raises RunFolderError for a line that is none."""
        return list(read_records(self.path, self._type))

    def append(self, records: Sequence[T]) -> list[T]:
        """Add those whose id is not there yet, and return them. Raises RunFolderError where the disk refuses."""
        try:
            with FileLock(self._lock, timeout=_LOCK_S):
                ids = {self._id_of(record) for record in self.read()}
                new = [record for record in records if self._id_of(record) not in ids]
                with Journal(self.path, self._type, sync_records=1) as journal:
                    for record in new:
                        journal.append(record)
                return new
        except Timeout:
            raise RunFolderError(
                f"{self.path} has been locked by another process for {_LOCK_S:.0f} s",
                "end that process, then try again",
            ) from None
        except OSError as error:
            raise RunFolderError(f"{self._lock}: {error.strerror or error}", "make the run folder writable") from error


class Event(Record):
    """One line of `events.jsonl`: what happened when. Clock times are kept here, outside the hash chain."""

    time: float
    """Seconds since 1970, UTC."""
    kind: str
    """`phase`, `round`, `notice`, ..."""
    payload: dict[str, JsonValue] = Field(default_factory=dict)


class Events:
    """Appends events if it can: a full disk costs the event and not the run."""

    def __init__(self, path: Path) -> None:
        """Opens at the first event, so that looking at a run folder writes nothing."""
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
        """Sync and close; the next event opens it again."""
        if self._journal is not None:
            try:
                self._journal.close()
            except RunFolderError:
                self.lost += 1
            self._journal = None


def by_id(fields: dict[str, Any]) -> tuple[str, ...]:
    """The default order of `rewrite_sorted`."""
    return (fields["id"],)


def rewrite_sorted(path: Path, key: Callable[[dict[str, Any]], tuple[str, ...]] = by_id) -> None:
    """Put a finished file's lines in the order of `key`, atomically, so that its bytes tell nothing of who was first.

    Equal lines are kept once: a rollout that was killed after its drop was written says the same again on resume.
    Memory holds a key and a hash per line, never the lines. Close the file's journal before.
    """
    order: list[tuple[tuple[str, ...], bytes, int, int]] = []
    for number, offset, line in _lines(path):
        try:
            order.append((key(json.loads(line)), hashlib.sha256(line).digest(), offset, len(line)))
        except (ValueError, KeyError, TypeError) as error:
            raise _broken(path, number, "not a record") from error
    kept: list[tuple[int, int]] = []
    previous = b""
    for _, digest, offset, length in sorted(order):
        if digest != previous:
            kept.append((offset, length))
        previous = digest
    if kept != [(offset, length) for _, _, offset, length in order]:
        write_atomic(path, _pick(path, kept))


def _lines(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """(line number, offset, line with its end) of every complete line."""
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield number, offset, line
            offset += len(line)


def _pick(path: Path, places: list[tuple[int, int]]) -> Iterator[bytes]:
    with path.open("rb") as file:
        for offset, length in places:
            file.seek(offset)
            yield file.read(length)


def _broken(path: Path, number: int, fault: str) -> RunFolderError:
    return RunFolderError(
        f"{path}:{number}: {fault}",
        f"restore the file, or in an unfinished round delete line {number} and `superalign resume`: "
        "what it held is made again",
    )
