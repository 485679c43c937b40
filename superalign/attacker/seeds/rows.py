"""What files of goals and templates hold, whoever wrote them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One row of any file, under our names."""

    line: int
    values: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)
    """Of single values, where they are known."""
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


def items_with_lines(text: str, items: Sequence[Any]) -> list[tuple[int, Any]]:
    """Each item of the JSON list `items` that stands in `text`, with its line."""
    decoder, at = json.JSONDecoder(), 0
    while True:  # the bracket from which the decoder reads this very list
        at = text.index("[", at)
        try:
            if decoder.raw_decode(text, at)[0] == list(items):
                break
        except ValueError:  # a bracket inside a text
            pass
        at += 1
    found, at = [], at + 1
    for item in items:
        while text[at] in " \t\r\n,":
            at += 1
        found.append((text.count("\n", 0, at) + 1, item))
        at = decoder.raw_decode(text, at)[1]
    return found
