"""What is held out: prompts, conversations and passages, each with its line in a file."""

from __future__ import annotations

from superalign.evaluation.answer_keys import Key
from superalign.records.base import Hazard, Intent, Record, SuiteKind
from superalign.records.evaluation import AttackSet
from superalign.records.rollout import Message, Messages


class SuiteItem(Record):
    """One held-out prompt."""

    id: str
    prompt: str
    """The user's last turn, the one whose answer is judged."""
    earlier: Messages = ()
    """The turns before it. After a user turn that no assistant turn follows, the model answers for itself."""
    hazard: Hazard | None = None
    intent: Intent | None = None
    """Of an injection item; elsewhere it follows from the suite's kind."""
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
        given = self.messages
        return given == tuple(turn for turn in conversation if turn.role != "assistant" or turn in given)


class Suite(Record):
    """Held-out prompts of one kind."""

    name: str
    kind: SuiteKind
    set: AttackSet = "frozen"
    file: str
    sha256: str
    """Of the file's bytes."""
    items: tuple[SuiteItem, ...]
    duplicates: tuple[str, ...] = ()
    """Ids whose prompt stands earlier in the file too; kept, so that rates match others' on it. An error in YAML."""


class Passage(Record):
    """One piece of plain text."""

    id: str
    text: str


class PlainText(Record):
    """Passages for perplexity."""

    name: str
    file: str
    sha256: str
    passages: tuple[Passage, ...]
