"""What a strategy is to the attacker: something that says the next turn of a walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from superalign.records import Draft, Exchange, Messages, Seed, Walk


@dataclass(frozen=True)
class Step:
    """What a strategy does next in a walk."""

    messages: Messages
    """The whole conversation that the learner answers, earlier turns of this walk included."""
    draft: Draft | None = None
    """None: no model wrote it."""
    parent: str | None = None
    """Id of the attack that it grew out of."""
    setup: bool = False
    """A turn that only prepares the next one."""


class Writer(Protocol):
    """The attacker's model, for the strategies that let it write."""

    async def write(
        self, id: str, prompt: Messages, goal: str, *, max_tokens: int, temperature: float, min_overlap: float
    ) -> Draft:
        """A text about the goal; equal ids give equal texts; raises DropError when every try was unfit."""
        ...


class Strategy(Protocol):
    """One way to attack, nameable from a recipe. Equal arguments give equal steps."""

    name: str
    sha256: str
    """Of the files it consists of."""

    def applies(self, seed: Seed) -> bool:
        """Whether this strategy may dress up this seed."""
        ...

    async def step(self, walk: Walk, history: Sequence[Exchange], writer: Writer) -> Step | None:
        """The walk's next turn after those it has had; None: the walk is over; raises DropError."""
        ...
