"""The protocol of strategies: each says the next turn of a rollout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from superalign.records.exchange import Exchange
from superalign.records.rollout import Draft, Messages, Rollout, Seed


@dataclass(frozen=True)
class Step:
    """What a strategy does next in a rollout."""

    messages: Messages
    """The whole conversation that the learner answers, earlier turns of this rollout included."""
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

    @property
    def name(self) -> str:
        """Unique in a run; of a chain, its elements' names joined by `+`."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of the files it consists of."""
        ...

    @property
    def files(self) -> Mapping[str, Path]:
        """Name -> path of the files it consists of; empty if it stands in a file of seeds."""
        ...

    @property
    def asks_model(self) -> bool:
        """Whether the attacker's model writes for it."""
        ...

    def applies(self, seed: Seed) -> bool:
        """Whether it can be used on this seed."""
        ...

    async def step(self, rollout: Rollout, history: Sequence[Exchange], writer: Writer) -> Step | None:
        """The rollout's next turn after those it has had; None: the rollout is over; raises DropError."""
        ...
