"""Strategies of one attack: the file's body is the attack, or tells an LLM to write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from superalign.attacker.strategies.front_matter import StrategyMeta
from superalign.attacker.strategies.protocol import Step, Writer
from superalign.attacker.strategies.writer import draft
from superalign.files.templates import PromptTemplate
from superalign.records.exchange import Exchange
from superalign.records.rollout import Draft, Message, Messages, Rollout, Seed


@dataclass(frozen=True)
class Prompted:
    """What every strategy that is a template has."""

    name: str
    meta: StrategyMeta
    template: PromptTemplate
    files: Mapping[str, Path]
    """Name -> file that it was loaded from; none where it stands in a row of a seed file."""

    @property
    def sha256(self) -> str:
        return self.template.sha256

    @property
    def asks_model(self) -> bool:
        return self.meta.asks_model

    def applies(self, seed: Seed) -> bool:
        return self.meta.suits(seed)


@dataclass(frozen=True)
class Rendered(Prompted):
    """The body with its slots filled is the whole conversation."""

    @property
    def single(self) -> bool:
        """Whether the attack is one user turn, which may go through another strategy."""
        return len(self.template.turns) == 1

    async def text(self, id: str, goal: str, writer: Writer) -> tuple[str, Draft | None]:
        """The last turn alone, for a chain."""
        return self.template.messages(goal=goal)[-1].content, None

    async def step(self, rollout: Rollout, history: Sequence[Exchange], writer: Writer) -> Step | None:
        return None if history else Step(self.template.messages(goal=rollout.seed.goal))


@dataclass(frozen=True)
class Written(Prompted):
    """An LLM writes the attack."""

    single = True

    async def text(self, id: str, goal: str, writer: Writer) -> tuple[str, Draft | None]:
        """What was written, for a chain; raises DropError."""
        prompt = self.template.messages(goal=goal)
        written = await draft(writer, id, self.name, self.meta, prompt, goal, self.meta.min_overlap)
        return written.text, written

    async def step(self, rollout: Rollout, history: Sequence[Exchange], writer: Writer) -> Step | None:
        """One attack; raises DropError when every try was unfit."""
        if history:
            return None
        text, written = await self.text(rollout.id, rollout.seed.goal, writer)
        return Step(user_turn(text), written)


def user_turn(text: str) -> Messages:
    """A conversation of one user turn."""
    return (Message(role="user", content=text),)
