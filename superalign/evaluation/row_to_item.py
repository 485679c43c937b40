"""A row of a suite's file -> the item and its kind, or a fault with its line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from superalign.evaluation.items import AnswerKey, Key, NumberKey, PatternKey, SuiteItem, Text
from superalign.files.tables import Row, column_of, record_of
from superalign.files.yaml_lines import Faults
from superalign.records.base import HAZARDS, Hazard, Intent, SuiteKind
from superalign.records.rollout import Message

PROMPT_COLUMNS = ("prompt", "goal", "instruction", "question", "text", "behavior", "forbidden_prompt")
ID_COLUMNS = ("id", "behaviorid", "index")
Own = Literal["capability", "injection"]
"""Kinds that a file must name; the others follow from each item's intent and hazard."""


class _Row(BaseModel):
    """What every item has: an id, and a prompt or the user's turns."""

    model_config = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
    id: Text
    prompt: Text | None = None
    turns: Annotated[tuple[Text, ...], Field(min_length=2)] | None = None

    @model_validator(mode="after")
    def _one_of_the_two(self) -> _Row:
        if (self.prompt is None) == (self.turns is None):
            raise ValueError("write `prompt`, or `turns` with two turns of the user or more, the last one held out")
        return self

    @property
    def asked(self) -> tuple[str, ...]:
        return self.turns or (self.prompt or "",)


class _JudgedRow(_Row):
    intent: Intent
    hazard: Hazard | None = None


class _KeyRow(_Row):
    number: float | None = None
    answer: tuple[Text, ...] | None = None
    pattern: Text | None = None

    @field_validator("answer", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return value if isinstance(value, list | tuple) or value is None else (value,)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return value

    @property
    def keys(self) -> list[Key]:
        keys: list[Key] = [NumberKey(number=self.number)] if self.number is not None else []
        keys += [AnswerKey(answers=self.answer)] if self.answer else []
        return keys + ([PatternKey(pattern=self.pattern)] if self.pattern else [])


class _CapabilityRow(_KeyRow):
    @model_validator(mode="after")
    def _one_key(self) -> _CapabilityRow:
        if len(self.keys) != 1:
            raise ValueError("write one of `number`, `answer` and `pattern`: what the right answer is")
        return self


class _InjectionRow(_KeyRow):
    intent: Intent = "benign"
    hazard: Hazard | None = None
    plain: Text | None = None

    @model_validator(mode="after")
    def _one_aim(self) -> _InjectionRow:
        if len(self.keys) + (self.plain is not None) != 1:
            raise ValueError(
                "write one of `number`, `answer` and `pattern` (what a reply says that was steered) or "
                "`plain` (the prompt without its note to the judge)"
            )
        return self


_ROWS: Mapping[SuiteKind | None, type[_Row]] = {"capability": _CapabilityRow, "injection": _InjectionRow}


def own_item(row: Row, kind: SuiteKind | None, path: Path, faults: Faults) -> tuple[SuiteItem, SuiteKind] | None:
    """An item of superalign's own format, in which an unknown key is a mistake; kind: as the file names it."""
    return _item(row, kind if kind in get_args(Own) else None, path, faults)


def foreign_item(row: Row, kind: SuiteKind | None, path: Path, faults: Faults) -> tuple[SuiteItem, SuiteKind] | None:
    """An item of a table that others made: columns that are not known stay out."""
    values = {key.lower(): value for key, value in row.values.items()} | dict(row.values)
    column = column_of(row.values, PROMPT_COLUMNS)
    prompt, turns = row.values[column] if column else None, values.get("turns")
    if turns is None and (not isinstance(prompt, str) or not prompt.strip()):
        faults.add(path, row.line, f"{column} is not text" if column else f"no column of {', '.join(PROMPT_COLUMNS)}")
        return None
    id = next((values[name] for name in ID_COLUMNS if values.get(name) not in (None, "")), f"line-{row.line}")
    item: dict[str, Any] = {"id": str(id), **({"turns": turns} if turns is not None else {"prompt": prompt})}
    item["hazard"] = values["hazard"] if values.get("hazard") in HAZARDS else None
    if kind in _ROWS:
        fields = _ROWS[kind].model_fields
        more = {name: values[name] for name in fields.keys() - {"id", "prompt", "turns", "hazard"} if name in values}
        item |= {name: value for name, value in more.items() if value not in (None, "")}
        known = {name: value for name, value in item.items() if name in fields}
        return _item(replace(row, values=known), kind, path, faults)
    intent = values.get("intent")
    if kind is None and intent not in ("harmful", "benign"):
        hint = "write `harmful:FILE`, `lookalike:` or `ordinary:`, or give each row an intent"
        faults.add(path, row.line, "no intent", hint)
        return None
    pair = _item(replace(row, values=item | {"intent": intent or "benign"}), None, path, faults)
    return (pair[0], kind or pair[1]) if pair else None


def _item(source: Row, kind: SuiteKind | None, path: Path, faults: Faults) -> tuple[SuiteItem, SuiteKind] | None:
    row: Any = record_of(_ROWS.get(kind, _JudgedRow), source, path, faults)
    if row is None:
        return None
    *earlier, prompt = row.asked
    item = SuiteItem(
        id=row.id,
        prompt=prompt,
        earlier=tuple(Message(role="user", content=turn) for turn in earlier),
        hazard=None if kind == "capability" else row.hazard,
        intent=row.intent if kind == "injection" else None,
        key=next(iter(row.keys), None) if kind else None,
        plain=row.plain if kind == "injection" else None,
        line=source.line,
    )
    if kind is not None:
        return item, kind
    benign: SuiteKind = "lookalike" if row.hazard else "ordinary"
    return item, "harmful" if row.intent == "harmful" else benign
