"""What a file of goals and templates holds, and the fields of a seed that one of its rows makes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from superalign.attacker.options import SeedFile
from superalign.attacker.seeds.taxonomy import INTENT_WORDS, hazard_of, intent_of
from superalign.files.tables import Row
from superalign.files.yaml_lines import Faults, nearest
from superalign.records.base import HAZARDS, OWN_HAZARD, Hazard, Intent

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True)
class Entry(Row):
    """A row, its values under our names."""

    guess: Mapping[str, Any] = field(default_factory=dict)
    """What follows from another tool's format, if neither the row nor the recipe says otherwise."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Front matter of the entry's template."""
    number: int = 0
    """Place in the file, from 1; rows that were left out count."""


@dataclass(frozen=True)
class Template:
    """A template without a goal: a strategy for any goal."""

    name: str
    text: str | None
    """None: the file as a whole is a strategy file."""
    line: int = 1
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Content:
    """What a file holds."""

    entries: Sequence[Entry] = ()
    templates: Sequence[Template] = ()
    foreign: bool = False
    """In another tool's format: its repetitions are no fault of whoever names the file."""
    notices: Sequence[str] = ()
    table: bool = False
    """With columns that need not be ours."""


class SeedRow(NamedTuple):
    """An entry, read and checked."""

    fields: dict[str, Any]
    """Fields of the Seed."""
    template: str | None
    lookalikes: list[str]


class RowReader:
    """Reads an entry; where it is silent, the recipe's entry of the file counts, then the file's format.

    own_hazards: what a row may name as its hazard besides those of the taxonomy; it becomes a tag, because attacks,
    critics and figures by hazard know those of the taxonomy alone. strangers: counts each category in a renamed column
    that is no hazard of ours, which is no fault.
    """

    def __init__(
        self, path: Path, entry: Entry, file: SeedFile, faults: Faults, strangers: dict[str, int],
        own_hazards: Collection[str],
    ) -> None:  # fmt: skip
        self.path, self.entry, self.file, self.faults, self.strangers = path, entry, file, faults, strangers
        self.own_hazards = own_hazards
        row = {key: value for key, value in entry.values.items() if value not in (None, "")}
        named = {key: getattr(file, key) for key in ("intent", "hazard", "strategy", "language")}
        self.values = dict(entry.guess) | {key: value for key, value in named.items() if value is not None} | row

    def read(self, id: str) -> SeedRow | None:
        """What the entry says, with `id` if it has none; None: faults were noted."""
        before = len(self.faults.lines)
        turns, lookalikes = self._turns(), self._lookalikes()
        fields = {
            "id": self._text("id") or id, "goal": self._goal(turns), "intent": self._intent(), "hazard": self._hazard(),
            "parent": self._text("parent"), "tags": self._tags(), "language": self._language(),
            "strategy": self._text("strategy"), "turns": turns,
        }  # fmt: skip
        template = self._text("template")
        if template is not None and turns:
            self._fault("template", "a row has turns and a template", "remove one: turns are sent as they stand")
        if template is not None and not self.entry.values.get("strategy"):
            fields["strategy"] = None  # the file's is for rows that bring none
        return SeedRow(fields, template, lookalikes) if len(self.faults.lines) == before else None

    def _fault(self, key: str, what: str, hint: str = "") -> None:
        self.faults.add(self.path, self.entry.line_of((key,)), what, hint)

    def _text(self, key: str) -> str | None:
        value = self.values.get(key)
        if value is None or (isinstance(value, str) and key in ("template", "strategy")):
            return value
        if isinstance(value, str | int) and key in ("id", "parent"):
            return str(value)
        self._fault(key, f"{key} is no text")
        return None

    def _goal(self, turns: tuple[str, ...]) -> str:
        goal = self.values.get("goal", turns[-1] if turns else None)
        if goal is not None and not isinstance(goal, str | int | float):
            self._fault("goal", "goal is no text")
        elif (goal is None and "turns" not in self.values) or not str(goal).strip():
            self._fault("goal", "goal is missing or empty", "write what is wanted, or leave the row out")
        return str(goal).strip()

    def _intent(self) -> Intent | None:
        label = self.values.get("intent")
        intent = None if label is None else intent_of(str(label))
        if label is None:
            hint = "write harmful or benign, here or as the file's `intent` in the recipe"
            self._fault("intent", "intent is missing", hint)
        elif intent is None:
            self._fault("intent", f"intent {label!r} is not known", "known: " + ", ".join(INTENT_WORDS))
        return intent

    def _hazard(self) -> Hazard | None:
        category = self.values.get("hazard")
        if category is None or str(category) in self.own_hazards:
            return None
        hazard = hazard_of(str(category))
        if hazard is None and "hazard" in self.file.columns:
            self.strangers[str(category)] = self.strangers.get(str(category), 0) + 1
        elif hazard is None:
            hint = nearest(str(category), (*HAZARDS, *self.own_hazards))
            self._fault("hazard", f"hazard {category!r} is not known", hint)
        return hazard

    def _language(self) -> str | None:
        language = self.values.get("language")
        if language is not None and not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
            self._fault("language", f"language {language!r} is no BCP 47 tag", "write en, de or pt-BR")
        return language

    def _turns(self) -> tuple[str, ...]:
        value = self.values.get("turns")
        turns = [] if value is None else _user_turns(value)
        if turns is None:
            self._fault("turns", "turns is no list of texts", "write the user's turns, the last of them being the goal")
        return tuple(turns or ())

    def _tags(self) -> tuple[str, ...]:
        """The row's and the file's, and one for a hazard of one's own."""
        value = self.values.get("tags", [])
        tags = [tag.strip() for tag in value.split(",") if tag.strip()] if isinstance(value, str) else value
        if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            self._fault("tags", "tags is no list of texts")
            return ()
        for tag in (*tags, *self.file.tags):
            hazard = tag.removeprefix(OWN_HAZARD)
            if hazard != tag and hazard not in self.own_hazards:
                hint = "name its file as `hazards` in the recipe"
                self._fault("tags", f"tag {tag}: hazard {hazard} is not known", hint)
        category = str(self.values.get("hazard"))
        return (*tags, *self.file.tags, *([OWN_HAZARD + category] if category in self.own_hazards else ()))

    def _lookalikes(self) -> list[str]:
        value = self.values.get("lookalikes", [])
        if isinstance(value, list) and all(isinstance(text, str) and text.strip() for text in value):
            return [text.strip() for text in value]
        self._fault("lookalikes", "lookalikes is no list of texts")
        return []


def _user_turns(value: Any) -> list[str] | None:
    """The user's turns of a list of texts or messages, or of such a list as JSON; None: it is neither."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    if not isinstance(value, list):
        return None
    if all(isinstance(turn, Mapping) and "role" in turn for turn in value):  # stored replies are never sent again
        value = [turn.get("content") for turn in value if turn["role"] == "user"]
    return [turn.strip() for turn in value] if value and all(isinstance(t, str) and t.strip() for t in value) else None
