"""Held-out requests by principle."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from superalign.critic.options import ChecksOptions, CriticOptions
from superalign.files.yaml_lines import Faults, load_yaml_with_lines, nearest, validated
from superalign.records.base import FrozenModel, Intent, Rate, Record
from superalign.records.rollout import Attack, Generation, Message, Messages, Response, Seed


class ValuesOptions(FrozenModel):
    """Held-out requests by principle, what a new version does to past examples, and the gate's limits."""

    items: str
    """File of held-out requests, each with the principle that it tests."""
    judge: CriticOptions = ChecksOptions()
    """Critic that judges whether a reply keeps the principle. It should not ask the critic's model."""
    on_switch: Literal["naive", "replay", "scratch"] = "replay"
    """First round of a new version: naive trains on that round's examples only; replay also on past examples whose
    verdict still holds or that can be reversed; scratch on the same examples as replay, from the base model."""
    max_tokens: Annotated[int, Field(ge=1)] = 32
    """Longest reply, tokens; replies are greedy."""
    alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    """Level of the gate's sign test for a gain in principles kept; at 1 any candidate passes."""
    max_loss: Rate = 0.1
    """How much less often than the incumbent a candidate may keep the unchanged principles, all together."""
    max_principle_loss: Rate = 0.25
    """The same for each unchanged principle."""


class ValueItem(Record):
    """A request that tests a principle."""

    id: str
    principle: str
    """The principle's id; also the tag by which checks apply to the request."""
    prompt: Annotated[str, Field(pattern=r"\S")]
    intent: Intent = "benign"
    tags: tuple[str, ...] = ()

    @property
    def messages(self) -> Messages:
        """The request as a conversation."""
        return (Message(role="user", content=self.prompt),)

    def response(self, reply: Generation) -> Response:
        """A reply as a critic's input."""
        seed = Seed(id=self.id, goal=self.prompt, intent=self.intent, tags=(self.principle, *self.tags, "held_out"))
        attack = Attack(
            id=f"values/{self.id}", seed=seed, strategy="held_out", strategy_sha256="", messages=self.messages
        )
        return Response(attack=attack, index=0, generation=reply)


class _File(Record):
    items: Annotated[tuple[ValueItem, ...], Field(min_length=1)]


def load_items(path: Path, principles: Collection[str]) -> tuple[ValueItem, ...]:
    """Reads a file of requests; raises PromptFileError with every fault's file and line.

    principles: the ids of all versions.
    """
    document = load_yaml_with_lines(path)
    items, faults = validated(_File, document).items, Faults()
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        line = document.line(("items", index))
        if item.id in seen:
            faults.add(path, line, f"item {item.id} stands on line {seen[item.id]} already", "give it another id")
        if item.principle not in principles:
            fault = f"no version of the constitution has a principle {item.principle}"
            faults.add(path, line, fault, nearest(item.principle, principles))
        seen.setdefault(item.id, line)
    faults.raise_if_any()
    return items
