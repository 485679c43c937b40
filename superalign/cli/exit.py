"""How a command ends early: an expected error, Ctrl-C, or a reader that went away."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

from superalign.errors import PromptFileError, RecipeError, SuperalignError

T = TypeVar("T")


class StoppedError(Exception):
    """A person, or the system, asked the command to stop."""

    def __init__(self, signum: int, resume: str = "") -> None:
        super().__init__(signum, resume)
        self.signum = signum
        self.resume = resume
        """The command that goes on from here."""


def run_until_stopped(main: Coroutine[Any, Any, T], *, resume: str = "", said: Callable[[str], None] = print) -> T:
    """`asyncio.run`, where the first SIGINT or SIGTERM cancels, so that every context manager closes; the next kills.

    Raises StoppedError after the first; whatever else the cancelled work raised on its way out is its cause.
    """
    stopped: list[int] = []

    async def supervised() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)

        def stop(signum: int, frame: FrameType | None) -> None:
            stopped.append(signum)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            loop.call_soon_threadsafe(said, "stopping, the write in hand is finished first; again to end at once")
            loop.call_soon_threadsafe(task.cancel)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return await task
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    try:
        return asyncio.run(supervised())
    except (Exception, asyncio.CancelledError) as error:
        if stopped:  # an engine that got the same Ctrl-C may fail before the cancellation arrives
            raise StoppedError(stopped[0], resume) from error
        raise


def ended(error: Exception) -> int:
    """Say on stderr what happened, and return the exit status; a bug is raised again."""
    if os.environ.get("SUPERALIGN_DEBUG"):
        raise error
    if isinstance(error, BrokenPipeError):  # `superalign show | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + 13
    if isinstance(error, StoppedError):
        rest = f"; nothing finished is lost, go on with:\n  {error.resume}" if error.resume else ""
        print(f"stopped{rest}", file=sys.stderr)
        return 128 + error.signum
    first = _expected(error)
    if first is None:
        raise error
    print(message(first), file=sys.stderr)
    return 1


def message(error: SuperalignError) -> str:
    """`error: ...`; several faults of one file stand below each other."""
    lines = str(error).splitlines()
    if isinstance(error, RecipeError | PromptFileError) and len(lines) > 1:
        return f"error: {len(lines)} faults\n" + "\n".join(f"  {line}" for line in lines)
    return f"error: {error}"


def _expected(error: BaseException) -> SuperalignError | None:
    """The expected error in a task group's bundle; None when there is another one, which is a bug."""
    if isinstance(error, SuperalignError):
        return error
    found = [_expected(inner) for inner in error.exceptions] if isinstance(error, BaseExceptionGroup) else [None]
    return None if None in found else found[0]
