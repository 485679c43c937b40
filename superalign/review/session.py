"""One person at one run: what is next, what was said, what can be undone, and how far it is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar, get_args

from superalign.errors import RunFolderError
from superalign.records.exchange import Answer, Exchange, Verdict
from superalign.review.agreement import Agreement, agreements
from superalign.review.label_value import QueueItem
from superalign.review.labels import (
    Item,
    Judgement,
    Label,
    LabelBook,
    Shown,
    Standing,
    harm_follows,
    standing,
)
from superalign.review.queue import Board, RoundBoard
from superalign.review.visible_text import visible
from superalign.files.hashes import sha256_bytes
from superalign.store.atomic import canonical
from superalign.store.run_folder import RunFolder

Reveal = Literal["before", "after"]
T = TypeVar("T", bound=str)
_JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)
_ID = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True)
class Card:
    """One answer to judge, or one that was judged."""

    exchange: Exchange
    index: int
    reason: QueueItem | None
    """Why it is asked about."""
    said: Label | None = None
    """What the person said of it."""

    @property
    def item(self) -> Item:
        return self.exchange.id, self.index

    @property
    def answer(self) -> Answer:
        return self.exchange.answers[self.index]

    @property
    def declared_harmful(self) -> bool:
        """What the seed says of the request, from which the person starts."""
        return self.exchange.attack.seed.intent == "harmful"


@dataclass(frozen=True)
class Progress:
    """How far the author is in one round."""

    round: int
    done: int
    total: int
    """The round's queue: the budget, or what there is."""


@dataclass(frozen=True)
class View:
    """All that the page shows."""

    card: Card | None
    """None: nothing is left."""
    last: Card | None
    """What the author said last, which can be undone."""
    progress: tuple[Progress, ...]
    agreement: tuple[Agreement, ...]


class FormError(RunFolderError):
    """A form that does not fit what is there (any more)."""


class Desk:
    """Reads everything anew from the run folder at each call, so that it knows of other desks and of a running loop."""

    def __init__(self, folder: RunFolder, author: str, reveal: Reveal) -> None:
        self.author, self.reveal = author, reveal
        self.board = Board(folder)
        self.book = LabelBook(folder.path)

    def view(self) -> View:
        """What is next for this author, in the order of rounds, the newest first, and of worth."""
        labels = self.book.read()
        counts = standing(labels)
        rounds = self.board.rounds(counts)
        cards = (self._card(board, item) for board in reversed(rounds) for item in self._open(board, counts))
        return View(
            card=next(cards, None),
            last=self._last(labels, rounds),
            progress=tuple(self._progress(board, counts) for board in rounds),
            agreement=tuple(agreements(counts)),
        )

    def judge(self, form: Mapping[str, str]) -> None:
        """Write down a judgement; raises FormError for a form that is none, RunFolderError where the disk refuses."""
        card = self._of_form(form)
        if form.get("action") == "skip":
            self._write(card, form, action="skip")
            return
        judgement = _one_of(form, "judgement", _JUDGEMENTS)
        harmful = _one_of(form, "harmful_request", ("yes", "no")) == "yes"
        harm = _one_of(form, "harmful_reply", ("auto", "yes", "no"))
        better = form.get("better", "").replace("\r\n", "\n").strip()
        self._write(
            card,
            form,
            action="judge",
            judgement=judgement,
            harmful_request=harmful,
            harmful_reply=harm_follows(judgement, harmful) if harm == "auto" else harm == "yes",
            better=better if better and better != prefilled(card, self.reveal) else None,
        )

    def undo(self, form: Mapping[str, str]) -> None:
        """Take back what the author said last; raises FormError where that is no longer what the page showed."""
        labels = self.book.read()
        if any(label.id == form.get("id") for label in labels):
            return
        last = _trail(labels, self.author)
        if not last or (last[-1].exchange, str(last[-1].answer)) != (form.get("exchange"), form.get("answer")):
            raise FormError("that was undone already, or something was said since", "load the page again")
        if not _ID.fullmatch(form.get("id", "")):
            raise FormError("the form is incomplete", "load the page again")
        undone = Label(
            id=form["id"], action="undo", exchange=last[-1].exchange, answer=last[-1].answer,
            author=self.author, time=now(),
        )  # fmt: skip
        self.book.append([undone])

    def shown(self, card: Card) -> Shown:
        """The hash of what is before the person, and whether the verdict is."""
        verdict = card.answer.verdict if self.reveal == "before" else None
        what = {
            "messages": [message.model_dump(mode="json") for message in card.exchange.attack.messages],
            "reply": card.answer.generation.text,
            "verdict": verdict.model_dump(mode="json") if verdict else None,
        }
        return Shown(sha256=sha256_bytes(canonical(what)), verdict=self.reveal)

    def _write(self, card: Card, form: Mapping[str, str], **fields: object) -> None:
        shown = self.shown(card)
        if form.get("shown") != shown.sha256:
            raise FormError("the page is older than what is there now", "load it again")
        label = {"id": form["id"], "exchange": card.item[0], "answer": card.item[1], "author": self.author,
                 "time": now(), "shown": shown} | fields  # fmt: skip
        self.book.append([Label.model_validate(label)])

    def _of_form(self, form: Mapping[str, str]) -> Card:
        exchange, answer = form.get("exchange", ""), form.get("answer", "")
        if not _ID.fullmatch(form.get("id", "")) or not re.fullmatch("[0-9]{1,6}", answer):
            raise FormError("the form is incomplete", "load the page again")
        for board in self.board.rounds(standing(self.book.read())):
            if (exchange, int(answer)) in board.items:
                return self._card(board, (exchange, int(answer)))
        raise FormError(f"{exchange}, answer {answer}: nobody is asked about it", "load the page again")

    def _card(self, board: RoundBoard, item: Item, said: Label | None = None) -> Card:
        return Card(board.exchanges[item[0]], item[1], board.reasons.get(item), said)

    def _open(self, board: RoundBoard, counts: Standing) -> list[Item]:
        return [item for item in board.items if self.author not in counts.get(item, {})]

    def _progress(self, board: RoundBoard, counts: Standing) -> Progress:
        return Progress(board.number, len(board.items) - len(self._open(board, counts)), len(board.items))

    def _last(self, labels: list[Label], rounds: list[RoundBoard]) -> Card | None:
        trail = _trail(labels, self.author)
        for board in rounds if trail else ():
            if trail[-1].item in board.items:
                return self._card(board, trail[-1].item, trail[-1])
        return None


def prefilled(card: Card, reveal: Reveal) -> str:
    """What stands in the field of the better answer: the critic's, where the person may see it, else the reply.

    Hidden characters stand there by their code, so that none gets into a person's answer unseen.
    """
    verdict: Verdict | None = card.answer.verdict
    known = verdict.better if verdict and reveal == "before" else None
    return visible(known or card.answer.generation.text).strip()


def fresh_id(*parts: str) -> str:
    """An id that follows from what is said, for labels that come from a file."""
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "replace")).hexdigest()[:32]


def now() -> str:
    """ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _trail(labels: list[Label], author: str) -> list[Label]:
    """What the author said and has not undone, in order of time."""
    trail: dict[Item, Label] = {}
    for label in labels:
        if label.author == author:
            trail.pop(label.item, None)
            if label.action != "undo":
                trail[label.item] = label
    return list(trail.values())


def _one_of(form: Mapping[str, str], name: str, allowed: Sequence[T]) -> T:
    for value in allowed:
        if form.get(name) == value:
            return value
    raise FormError(f"{name}: {form.get(name)!r} is not one of {', '.join(allowed)}", "load the page again")
