"""A model's text as a person should see it: nothing hidden, nothing reordered, and what was quoted marked."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

_QUOTED = re.compile('"([^"]{8,})"|\u201c([^\u201d]{8,})\u201d|\u00ab([^\u00bb]{8,})\u00bb|`([^`]{8,})`')
_JOINERS = "\u200c\u200d"  # they shape letters and emoji; hiding them would break honest text
_PLAIN_SPACE = "\n\t"
_SPACES = str.maketrans(_PLAIN_SPACE, " " * len(_PLAIN_SPACE))


class Piece(NamedTuple):
    """A part of a text."""

    text: str
    marked: bool
    """The critic quoted it."""


def visible(text: str) -> str:
    """Control, bidirectional and zero-width characters by their code, so that none can hide or reorder words."""
    if text.translate(_SPACES).isprintable():
        return text  # nothing hides: the rule, and a report reads millions of characters
    return "".join(f"\\u{ord(c):04x}" if _hides(c) else c for c in text.replace("\r\n", "\n"))


def quotes(rationale: str, text: str) -> list[str]:
    """The rationale's quotations that do stand in the text."""
    quoted = (next(filter(None, groups)) for groups in _QUOTED.findall(rationale))
    return [quote for quote in quoted if quote in text]


def pieces(text: str, marked: Iterable[str]) -> list[Piece]:
    """The whole text in parts, every occurrence of a marked string in marked ones."""
    spans = sorted(m.span() for quote in marked if quote for m in re.finditer(re.escape(quote), text))
    parts, at = [], 0
    for start, end in spans:
        if end <= at:
            continue
        start = max(start, at)
        parts += [Piece(visible(text[at:start]), False), Piece(visible(text[start:end]), True)]
        at = end
    parts.append(Piece(visible(text[at:]), False))
    return [part for part in parts if part.text]


def _hides(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs") and character not in _PLAIN_SPACE + _JOINERS
