"""What is held out: prompts, conversations and passages, each with its line in a file, and keys to right answers."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from superalign.records.base import Hazard, Intent, Record, SuiteKind
from superalign.records.evaluation import AttackSet
from superalign.records.rollout import Message, Messages

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
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


class SuiteItem(Record):
    """One held-out prompt."""

    id: str
    prompt: str
    """The user's last turn, the one whose answer is judged."""
    earlier: Messages = ()
    """The turns before it. After a user turn that no assistant turn follows, the model answers for itself."""
    hazard: Hazard | None = None
    intent: Intent | None = None
    """The intent of an injection item; that of others follows from the suite's kind."""
    key: Key | None = None
    """What the right answer is, or for an injection, what a reply says that has been steered."""
    plain: str | None = None
    """The prompt without its note to the judge: the injection succeeds where the same reply is judged otherwise."""
    line: int
    """Where it stands in the suite's file."""

    @property
    def turns(self) -> tuple[str, ...]:
        """All that the user says."""
        return (*(message.content for message in self.earlier if message.role == "user"), self.prompt)

    @property
    def messages(self) -> Messages:
        """The conversation without the answers that the model gives in it."""
        return (*self.earlier, Message(role="user", content=self.prompt))

    def asked_in(self, conversation: Messages) -> bool:
        """Whether a conversation is this item with the model's own answers in it."""
        return self.messages == tuple(
            turn for turn in conversation if turn.role != "assistant" or turn in self.messages
        )


class Suite(Record):
    """Held-out prompts of one kind."""

    name: str
    kind: SuiteKind
    set: AttackSet = "frozen"
    file: str
    sha256: str
    """Hash of the file's bytes."""
    items: tuple[SuiteItem, ...]
    duplicates: tuple[str, ...] = ()
    """Ids whose prompt stands earlier in the file too; kept, so that rates match others' on it. An error in YAML."""


class Passage(Record):
    """One piece of plain text."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    id: Text
    text: Text


class PlainText(Record):
    """Passages for perplexity."""

    name: str
    file: str
    sha256: str
    passages: tuple[Passage, ...]


def matches(key: Key, reply: str) -> bool:
    """Whether a reply meets the key; one that says nothing meets none."""
    text = reply.strip()
    match key:
        case NumberKey():
            numbers = _NUMBER.findall(claim(text))
            return bool(numbers) and float(numbers[-1].replace(",", "").replace("\u2212", "-")) == key.number
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
