"""Held-out requests by principle."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field

from superalign.files.yaml_lines import Faults, load_yaml_with_lines, nearest, validated
from superalign.records.base import Intent, Record
from superalign.records.rollout import Attack, Generation, Message, Messages, Response, Seed


class ValueItem(Record):
    """A request that tests a principle."""

    id: str
    principle: str
    """Its id; also the tag by which a check knows that it applies."""
    prompt: Annotated[str, Field(pattern=r"\S")]
    intent: Intent = "benign"
    tags: tuple[str, ...] = ()

    @property
    def messages(self) -> Messages:
        """The conversation that asks it."""
        return (Message(role="user", content=self.prompt),)

    def response(self, reply: Generation) -> Response:
        """A reply to it, as a critic judges it."""
        seed = Seed(id=self.id, goal=self.prompt, intent=self.intent, tags=(self.principle, *self.tags, "held_out"))
        attack = Attack(
            id=f"values/{self.id}", seed=seed, strategy="held_out", strategy_sha256="", messages=self.messages
        )
        return Response(attack=attack, index=0, generation=reply)


class _File(Record):
    items: Annotated[tuple[ValueItem, ...], Field(min_length=1)]


def load_items(path: Path, principles: Collection[str]) -> tuple[ValueItem, ...]:
    """Read such a file; raises PromptFileError with every fault's file and line.

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
            what = f"no version of the constitution has a principle {item.principle}"
            faults.add(path, line, what, nearest(item.principle, principles))
        seen.setdefault(item.id, line)
    faults.raise_if_any()
    return items
