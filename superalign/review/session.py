"""One person at one run: what is next, what they judged, what can be undone, how far they are and who agrees."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import combinations
from typing import Literal, TypeVar, get_args

from superalign.errors import RunFolderError
from superalign.files.hashes import sha256_bytes
from superalign.records.base import Rate, Record
from superalign.records.exchange import Answer, Exchange
from superalign.review.label_value import QueueItem
from superalign.review.labels import Item, Judgement, Label, LabelJournal, Shown, Standing, harm_follows, standing
from superalign.review.queue import RoundQueue, RunQueue
from superalign.review.visible_text import visible
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
    """The reason why it is asked about."""
    label: Label | None = None
    """The person's label of it."""

    @property
    def item(self) -> Item:
        return self.exchange.id, self.index

    @property
    def answer(self) -> Answer:
        return self.exchange.answers[self.index]

    @property
    def declared_harmful(self) -> bool:
        """What the seed declares of the request; the form starts from it."""
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
    """What the author labelled last, which can be undone."""
    progress: tuple[Progress, ...]
    agreement: tuple[Agreement, ...]


class Agreement(Record):
    """Two authors, over the answers that both judged."""

    authors: tuple[str, str]
    items: int
    agreed: Rate
    """Share with the same judgement."""
    kappa: float | None
    """Cohen's kappa (1960), 1 perfect, 0 chance; None: only one judgement occurs, so chance alone explains it all."""


class FormError(RunFolderError):
    """A form that does not fit the run folder as it is now."""


class Session:
    """Reads everything anew from the run folder at each call, and so knows of other sessions and of a running loop."""

    def __init__(self, folder: RunFolder, author: str, reveal: Reveal) -> None:
        self.author, self.reveal = author, reveal
        self.queue = RunQueue(folder)
        self.journal = LabelJournal(folder.path)

    def view(self) -> View:
        """What is next for this author: the newest round first, and in it the answer most worth a label."""
        labels = self.journal.read()
        counting = standing(labels)
        rounds = self.queue.rounds(counting)
        open_items = [[item for item in queue.items if self.author not in counting.get(item, {})] for queue in rounds]
        cards = (
            _card(queue, item)
            for queue, items in zip(reversed(rounds), reversed(open_items), strict=True)
            for item in items
        )
        trail = _trail(labels, self.author)
        last = (_card(queue, trail[-1].item, trail[-1]) for queue in rounds if trail and trail[-1].item in queue.items)
        return View(
            card=next(cards, None),
            last=next(last, None),
            progress=tuple(
                Progress(queue.number, len(queue.items) - len(items), len(queue.items))
                for queue, items in zip(rounds, open_items, strict=True)
            ),
            agreement=tuple(agreements(counting)),
        )

    def judge(self, form: Mapping[str, str]) -> None:
        """Write down a judgement; raises FormError for a wrong form, RunFolderError if the disk refuses."""
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
        """Take back the author's last label; raises FormError if it is no longer the one that the page showed."""
        labels = self.journal.read()
        if any(label.id == form.get("id") for label in labels):
            return
        last = _trail(labels, self.author)
        if not last or (last[-1].exchange, str(last[-1].answer)) != (form.get("exchange"), form.get("answer")):
            raise FormError("that was undone already, or another answer was labelled since", "load the page again")
        if not _ID.fullmatch(form.get("id", "")):
            raise FormError("the form is incomplete", "load the page again")
        undone = Label(
            id=form["id"], action="undo", exchange=last[-1].exchange, answer=last[-1].answer,
            author=self.author, time=now(),
        )  # fmt: skip
        self.journal.append([undone])

    def shown(self, card: Card) -> Shown:
        """The hash of what is before the person, and whether the verdict is."""
        verdict = card.answer.verdict if self.reveal == "before" else None
        content = {
            "messages": [message.model_dump(mode="json") for message in card.exchange.attack.messages],
            "reply": card.answer.generation.text,
            "verdict": verdict.model_dump(mode="json") if verdict else None,
        }
        return Shown(sha256=sha256_bytes(canonical(content)), verdict=self.reveal)

    def _write(self, card: Card, form: Mapping[str, str], **fields: object) -> None:
        shown = self.shown(card)
        if form.get("shown") != shown.sha256:
            raise FormError("the page is older than what is there now", "load it again")
        label = {"id": form["id"], "exchange": card.item[0], "answer": card.item[1], "author": self.author,
                 "time": now(), "shown": shown} | fields  # fmt: skip
        self.journal.append([Label.model_validate(label)])

    def _of_form(self, form: Mapping[str, str]) -> Card:
        exchange, answer = form.get("exchange", ""), form.get("answer", "")
        if not _ID.fullmatch(form.get("id", "")) or not re.fullmatch("[0-9]{1,6}", answer):
            raise FormError("the form is incomplete", "load the page again")
        for queue in self.queue.rounds(standing(self.journal.read())):
            if (exchange, int(answer)) in queue.items:
                return _card(queue, (exchange, int(answer)))
        raise FormError(f"{exchange}, answer {answer}: nobody is asked about it", "load the page again")


def prefilled(card: Card, reveal: Reveal) -> str:
    """The text in the field of the better answer: the critic's if the person may see it, else the reply.

    Hidden characters stand there by their code, so that none gets into a person's answer unseen.
    """
    verdict = card.answer.verdict
    better = verdict.better if verdict and reveal == "before" else None
    return visible(better or card.answer.generation.text).strip()


def agreements(labels: Standing) -> list[Agreement]:
    """One for each two authors who judged an answer in common, by name."""
    judgements: defaultdict[tuple[str, str], list[tuple[Judgement, Judgement]]] = defaultdict(list)
    for by_author in labels.values():
        judged = {name: label.judgement for name, label in sorted(by_author.items()) if label.judgement is not None}
        for one, other in combinations(judged, 2):
            judgements[one, other].append((judged[one], judged[other]))
    return [
        Agreement(authors=pair, items=len(both), agreed=sum(a == b for a, b in both) / len(both), kappa=_kappa(both))
        for pair, both in sorted(judgements.items())
    ]


def fresh_id(*parts: str) -> str:
    """An id made of a label's content, for labels that come from a file."""
    return sha256_bytes("\x00".join(parts).encode("utf-8", "replace"))[:32]


def now() -> str:
    """ISO 8601, UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _kappa(both: list[tuple[Judgement, Judgement]]) -> float | None:
    if len({judgement for pair in both for judgement in pair}) == 1:
        return None
    from sklearn.metrics import cohen_kappa_score  # here, for it takes a second that the page need not wait for

    first, second = zip(*both, strict=True)
    return float(cohen_kappa_score(first, second))


def _card(queue: RoundQueue, item: Item, label: Label | None = None) -> Card:
    return Card(queue.exchanges[item[0]], item[1], queue.reasons.get(item), label)


def _trail(labels: list[Label], author: str) -> list[Label]:
    """The author's labels that are not undone, in order of time."""
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
