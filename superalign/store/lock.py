"""One process a run folder: a lock the system releases when its holder dies, and a note that says who it is."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from filelock import FileLock, Timeout

from superalign.errors import RunFolderError
from superalign.store.atomic import disk_error, write_json
from superalign.store.round_folder import HOLDER, LOCK


class RunLock:
    """Held from construction to `release`."""

    def __init__(self, folder: Path) -> None:
        """Raises RunFolderError, naming the holder, when another process (or this one) has the folder."""
        self._holder = folder / HOLDER
        self._lock = FileLock(folder / LOCK)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            raise _taken(folder, self._holder) from None
        except OSError as error:
            raise disk_error(folder / LOCK, error) from error
        try:
            write_json(self._holder, {"pid": os.getpid(), "host": socket.gethostname()})
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Let go; a second call does nothing."""
        if self._lock.is_locked:
            self._holder.unlink(missing_ok=True)
            self._lock.release()


def _taken(folder: Path, holder: Path) -> RunFolderError:
    try:
        note = json.loads(holder.read_text())
        pid, host = int(note["pid"]), str(note["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return RunFolderError(f"{folder} is in use by another process", "wait for it to end")
    if host == socket.gethostname() and not _alive(pid):
        return RunFolderError(
            f"{folder} is in use by a process that the run with pid {pid} on {host} left behind",
            "end that process (a training child or an engine), then resume",
        )
    return RunFolderError(f"{folder} is in use by pid {pid} on {host}", "wait for it to end, or stop it, then resume")


def _alive(pid: int) -> bool:
    if os.name != "posix":
        return True  # os.kill would end the process there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
