"""One entry of a file -> the fields of a seed, with a fault for each value that can't be one."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from superalign.attacker.options import SeedFile
from superalign.attacker.seeds.rows import Entry
from superalign.attacker.seeds.taxonomy import INTENT_WORDS, hazard_of, intent_of
from superalign.files.yaml_lines import Faults, nearest
from superalign.records.base import HAZARDS, OWN_HAZARD, Hazard, Intent

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


class Read(NamedTuple):
    """What an entry says."""

    fields: dict[str, Any]
    """Of a Seed."""
    template: str | None
    lookalikes: list[str]


def fields_of(
    path: Path, entry: Entry, file: SeedFile, id: str, faults: Faults, strangers: dict[str, int], own: Collection[str]
) -> Read | None:
    """The fields that make a seed, `id` where the entry has none; None: faults were noted.

    A category that stands in a renamed column and is none of ours is counted in `strangers` and is no fault. One of
    `own` becomes a tag: attacks, critics and figures by hazard know those of the taxonomy alone.
    """
    before = len(faults.lines)
    given = _Given(path, entry, file, faults, strangers, own)
    turns, twins = given.turns(), given.lookalikes()
    fields = {
        "id": given.text("id") or id, "goal": given.goal(turns), "intent": given.intent(), "hazard": given.hazard(),
        "parent": given.text("parent"), "tags": given.tags(), "language": given.language(),
        "strategy": given.text("strategy"), "turns": turns,
    }  # fmt: skip
    template = given.text("template")
    if template is not None and turns:
        given.fault("template", "a row has turns and a template", "remove one: turns are sent as they stand")
    if template is not None and "strategy" not in entry.values:
        fields["strategy"] = None  # the file's is for rows that bring none
    return Read(fields, template, twins) if len(faults.lines) == before else None


class _Given:
    """What an entry, its file's format and the recipe say of each field, faults noted."""

    def __init__(
        self, path: Path, entry: Entry, file: SeedFile, faults: Faults, strangers: dict[str, int], own: Collection[str]
    ) -> None:
        self.path, self.entry, self.file, self.faults, self.strangers = path, entry, file, faults, strangers
        self.own = own
        row = {key: value for key, value in entry.values.items() if value not in (None, "")}
        named = {"intent": file.intent, "hazard": file.hazard, "strategy": file.strategy, "language": file.language}
        self.said = dict(entry.guess) | {key: value for key, value in named.items() if value is not None} | row

    def fault(self, key: str, what: str, hint: str = "") -> None:
        """Note a fault at the line of a field."""
        self.faults.add(self.path, self.entry.lines.get(key, self.entry.line), what, hint)

    def text(self, key: str) -> str | None:
        value = self.said.get(key)
        if value is None or (isinstance(value, str) and key in ("template", "strategy")):
            return value
        if isinstance(value, str | int) and key in ("id", "parent"):
            return str(value)
        self.fault(key, f"{key} is no text")
        return None

    def goal(self, turns: tuple[str, ...]) -> str:
        goal = self.said.get("goal", turns[-1] if turns else None)
        if goal is not None and not isinstance(goal, str | int | float):
            self.fault("goal", "goal is no text")
        elif (goal is None and "turns" not in self.said) or not str(goal).strip():
            self.fault("goal", "goal is missing or empty", "write what is wanted, or leave the row out")
        return str(goal).strip()

    def intent(self) -> Intent | None:
        label = self.said.get("intent")
        intent = None if label is None else intent_of(str(label))
        if label is None:
            hint = "write harmful or benign, here or as the file's `intent` in the recipe"
            self.fault("intent", "intent is missing", hint)
        elif intent is None:
            self.fault("intent", f"intent {label!r} is not known", "known: " + ", ".join(INTENT_WORDS))
        return intent

    def hazard(self) -> Hazard | None:
        category = self.said.get("hazard")
        if category is None or str(category) in self.own:
            return None
        hazard = hazard_of(str(category))
        if hazard is None:
            if "hazard" in self.file.columns:
                self.strangers[str(category)] = self.strangers.get(str(category), 0) + 1
            else:
                self.fault("hazard", f"hazard {category!r} is not known", nearest(str(category), (*HAZARDS, *self.own)))
        return hazard

    def language(self) -> str | None:
        language = self.said.get("language")
        if language is not None and not (isinstance(language, str) and _LANGUAGE.fullmatch(language)):
            self.fault("language", f"language {language!r} is no BCP 47 tag", "write en, de or pt-BR")
        return language

    def turns(self) -> tuple[str, ...]:
        value = self.said.get("turns")
        turns = [] if value is None else _turns(value)
        if turns is None:
            self.fault("turns", "turns is no list of texts", "write the user's turns, the last of them being the goal")
        return tuple(turns or ())

    def tags(self) -> tuple[str, ...]:
        """The row's and the file's, and one for a hazard of `own`."""
        value = self.said.get("tags", [])
        tags = [tag.strip() for tag in value.split(",") if tag.strip()] if isinstance(value, str) else value
        if not (isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            self.fault("tags", "tags is no list of texts")
            return ()
        for tag in (*tags, *self.file.tags):
            name = tag.removeprefix(OWN_HAZARD)
            if name != tag and name not in self.own:
                self.fault("tags", f"tag {tag}: hazard {name} is not known", "name its file as `hazards` in the recipe")
        category = str(self.said.get("hazard"))
        return (*tags, *self.file.tags, *([OWN_HAZARD + category] if category in self.own else ()))

    def lookalikes(self) -> list[str]:
        value = self.said.get("lookalikes", [])
        if isinstance(value, list) and all(isinstance(twin, str) and twin.strip() for twin in value):
            return [twin.strip() for twin in value]
        self.fault("lookalikes", "lookalikes is no list of texts")
        return []


def _turns(value: Any) -> list[str] | None:
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
