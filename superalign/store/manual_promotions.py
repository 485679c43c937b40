"""What people decided over the gate's head, and where a run was forked from: links of the hash chain, too. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from superalign.records.base import Record
from superalign.records.training import Checkpoint
from superalign.store.atomic import canonical, sha256_bytes
from superalign.store.round_folder import promoted_checkpoint


class Choice(Record):
    """A checkpoint that a person promoted between two rounds."""

    after: int
    """The round that was sealed last."""
    checkpoint: Checkpoint
    replaced: str
    """Id of the checkpoint that stood before."""
    reason: str
    previous: str
    """The link before it: the round's, or that of an earlier choice."""
    link: str
    """sha256 of the canonical JSON of the fields above."""


class Fork(Record):
    """Where a run was forked from: its rounds up to that one are copies."""

    name: str
    """Of the run."""
    round: int
    head: str
    """Its link after that round, with every choice made then."""


def link_choice(after: int, checkpoint: Checkpoint, replaced: str, reason: str, previous: str) -> Choice:
    """A choice with its link."""
    choice = Choice(after=after, checkpoint=checkpoint, replaced=replaced, reason=reason, previous=previous, link="")
    return choice.model_copy(update={"link": sha256_bytes(canonical(choice.model_dump(mode="json", exclude={"link"})))})


def relinked(choice: Choice, previous: str) -> Choice:
    """The same choice after another link."""
    return link_choice(choice.after, choice.checkpoint, choice.replaced, choice.reason, previous)


def standing(folder: Path, number: int, choices: Sequence[Choice]) -> Checkpoint | None:
    """The checkpoint that stands once everything up to a round is decided, by the gate or by people; None: nothing."""
    for before in reversed(range(number + 1)):
        chosen = [choice.checkpoint for choice in choices if choice.after == before]
        found = chosen[-1] if chosen else promoted_checkpoint(folder, before)
        if found is not None:
            return found
    return None
