"""Answer keys: what a reply must say to be right, told without a judge. Pure."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from superalign.records.base import Record

_NUMBER = re.compile(r"[-\u2212]?\d+(?:,\d{3})*(?:\.\d+)?")


class NumberKey(Record):
    """The last number of what the reply claims is this one ("12 + 7 = 19" says 19)."""

    type: Literal["number"] = "number"
    number: float


class AnswerKey(Record):
    """One of these stands in what the reply claims as whole words, whatever the case."""

    type: Literal["answer"] = "answer"
    answers: Annotated[tuple[str, ...], Field(min_length=1)]


class PatternKey(Record):
    """The whole reply, without white space around it, matches this regular expression."""

    type: Literal["pattern"] = "pattern"
    pattern: str


Key = Annotated[NumberKey | AnswerKey | PatternKey, Field(discriminator="type")]


def matches(key: Key, reply: str) -> bool:
    """Whether a reply meets the key; one that says nothing meets none."""
    text = reply.strip()
    match key:
        case NumberKey():
            found = _NUMBER.findall(claim(text))
            return bool(found) and float(found[-1].replace(",", "").replace("\u2212", "-")) == key.number
        case AnswerKey():
            return any(re.search(rf"(?<!\w){re.escape(a)}(?!\w)", claim(text), re.IGNORECASE) for a in key.answers)
        case PatternKey():
            return re.fullmatch(key.pattern, text) is not None


def expected(key: Key) -> str:
    """The key in words."""
    match key:
        case NumberKey():
            return f"{key.number:g}"
        case AnswerKey():
            return " or ".join(key.answers)
        case PatternKey():
            return key.pattern


def claim(text: str) -> str:
    """What is read of an answer: the first line that speaks of the answer, else the first line, up to a "but".

    What a small model goes on to say is mostly not about it, or names the other candidates.
    """
    lines = text.split("\n")
    line = next((line for line in lines if re.search(r"\banswer is\b|^answer:", line, re.IGNORECASE)), lines[0])
    return re.split(r"\bbut\b", line, maxsplit=1)[0]
