"""How a command ends early: an expected error, Ctrl-C, or a reader that went away."""

from __future__ import annotations

import os
import sys

from superalign.errors import PromptFileError, RecipeError, SuperalignError


class StoppedError(Exception):
    """A person, or the system, asked the command to stop."""

    def __init__(self, signum: int, resume: str = "") -> None:
        super().__init__(signum, resume)
        self.signum = signum
        self.resume = resume
        """The command that goes on from here."""


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
    """The expected error in a task group's bundle; None if there is another one, which is a bug."""
    if isinstance(error, SuperalignError):
        return error
    inner = [_expected(each) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else [None]
    return None if None in inner else inner[0]
