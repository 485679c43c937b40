"""Chains of strategies: the goal goes through the first, what comes out through the second, and so on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from superalign.attacker.strategies.front_matter import StrategyMeta
from superalign.attacker.strategies.multi_turn import Dialogue, WrittenDialogue
from superalign.attacker.strategies.one_turn import Rendered, Written
from superalign.attacker.strategies.protocol import Step, Writer
from superalign.attacker.strategies.refine import Refine
from superalign.records.exchange import Exchange
from superalign.records.rollout import Draft, Rollout, Seed

Element = Rendered | Written | Refine | Dialogue | WrittenDialogue


@dataclass(frozen=True)
class Chain:
    """Several strategies as one; the last one leads, the others only dress up its goal."""

    before: tuple[Rendered | Written, ...]
    last: Element

    @property
    def elements(self) -> tuple[Element, ...]:
        """In the order in which the goal goes through them."""
        return (*self.before, self.last)

    @cached_property
    def name(self) -> str:
        """`a+b+c`."""
        return "+".join(element.name for element in self.elements)

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256("\n".join(element.sha256 for element in self.elements).encode()).hexdigest()

    @cached_property
    def files(self) -> Mapping[str, Path]:
        return {name: path for element in self.elements for name, path in element.files.items()}

    @property
    def asks_model(self) -> bool:
        return any(element.asks_model for element in self.elements)

    @cached_property
    def meta(self) -> StrategyMeta:
        """The last one's, with what follows from the others."""
        all_of = [element.meta for element in self.elements]
        return self.last.meta.model_copy(
            update={
                "name": self.name,
                "description": " Then: ".join(meta.description for meta in all_of),
                "targets": "critic" if any(meta.targets == "critic" for meta in all_of) else "learner",
                "tags": tuple(dict.fromkeys(tag for meta in all_of for tag in meta.tags)),
                "language": next((meta.language for meta in reversed(all_of) if meta.language), None),
                "applies_to": tuple(k for k in all_of[0].applies_to if all(k in meta.applies_to for meta in all_of)),
                "phrase_only": all_of[0].phrase_only,
                "asks_how": all_of[0].asks_how,
            }
        )

    def applies(self, seed: Seed) -> bool:
        """Whether the first suits the goal, and none of the others excludes its kind."""
        return self.meta.suits(seed)

    async def step(self, rollout: Rollout, history: Sequence[Exchange], writer: Writer) -> Step | None:
        """The last one's next step; raises DropError when an element wrote nothing fit."""
        text, written = rollout.seed.goal, None
        for place, element in enumerate(self.before):
            # Not the attack's id: the text has to come out the same in every step of the rollout.
            text, element_draft = await element.text(f"{rollout.id}+{place}", text, writer)
            written = element_draft or written
        return await self._lead(rollout, history, writer, text, written)

    async def _lead(
        self, rollout: Rollout, history: Sequence[Exchange], writer: Writer, text: str, written: Draft | None
    ) -> Step | None:
        if isinstance(self.last, Refine):  # measures by the goal itself what it goes on to write
            step = await self.last.step(rollout, history, writer, first=text)
        else:
            dressed = rollout.model_copy(update={"seed": rollout.seed.model_copy(update={"goal": text})})
            step = await self.last.step(dressed, history, writer)
        if step is None or step.draft is not None or step.setup:
            return step
        return replace(step, draft=written)


PromptStrategy = Element | Chain


def elements_of(strategy: PromptStrategy) -> tuple[Element, ...]:
    """A chain's elements; of another strategy, itself."""
    return strategy.elements if isinstance(strategy, Chain) else (strategy,)


def why_not(elements: Sequence[Element]) -> str | None:
    """Why these do not make a chain in this order, with the cure; None: they do."""
    encoded = None
    for before, after in pairwise(elements):
        if not isinstance(before, Rendered | Written) or not before.single:
            return f"{before.name} has several turns, so {after.name} can't follow it; put {before.name} last"
        if after.meta.bare:
            return (
                f"{after.name} needs a bare verb phrase, which {before.name} doesn't leave it; put {after.name} first"
            )
        encoded = before.name if before.meta.style == "encoding" else encoded
        if encoded and after.meta.asks_model and not isinstance(after, Refine):
            return f"{after.name} can't rewrite what {encoded} has encoded; put {encoded} after it"
    return None


def chained(elements: Sequence[Element]) -> PromptStrategy | None:
    """One strategy of several; None: they do not go together (see `why_not`)."""
    if not elements or why_not(elements) is not None:
        return None
    before = tuple(element for element in elements[:-1] if isinstance(element, Rendered | Written))
    return Chain(before, elements[-1]) if before else elements[-1]


def compose(strategies: Mapping[str, PromptStrategy], names: Sequence[str]) -> PromptStrategy | None:
    """The chain of the strategies of these names; None: they do not go together."""
    return chained([element for name in names for element in elements_of(strategies[name])])
