"""What the page's browsers list: an attack with all that came of it, or a held-out prompt before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from superalign.records.evaluation import AttackSet, ItemResult, SuiteResult
from superalign.records.exchange import Answer, Exchange, Verdict
from superalign.records.rollout import Message
from superalign.records.training import Demonstration, PreferencePair
from superalign.report.disk_index import Shelf
from superalign.report.page_data import Facts
from superalign.review.labels import Label, judged, standing
from superalign.review.visible_text import visible
from superalign.store.journal import read_records
from superalign.store.run_folder import RunFolder

ATTACK_FACETS = ("round", "request", "hazard", "strategy", "verdict", "model erred", "learned from")
HELD_OUT_FACETS = ("suite", "request", "hazard", "change")
SNIPPET_CHARS = 120
Tone = Literal["good", "bad", ""]
Pane = tuple[str, str, Tone, str]
"""Title, text, tone, note."""
_CHANGES: dict[tuple[bool | None, bool | None], str] = {
    (True, False): "mended", (False, True): "broken", (True, True): "still wrong", (False, False): "right, as before",
    (None, True): "wrong", (None, False): "right", (None, None): "not judged", (True, None): "not judged",
    (False, None): "not judged",
}  # fmt: skip
"""By whether the reply before was a fault, and whether the one after is."""
_SETS: dict[AttackSet, int] = {"frozen": 0, "fresh": 1, "replay": 2}
"""In the order of the list: what all rounds were asked comes first."""


@dataclass
class Entry:
    """One line of a browser, and what opens below it."""

    facets: Sequence[str]
    tone: Tone
    snippet: str
    title: str
    texts: list[str] = field(default_factory=list)
    """What is searched; each different text once."""
    rows: list[list[list[Any]]] = field(default_factory=list)
    """Rows of panes that stand side by side: title, index of the text, tone, index of a note or -1."""

    def add(self, *panes: Pane) -> None:
        """A row of panes."""
        self.rows.append(
            [
                [visible(title), self._place(text), tone, self._place(note) if note else -1]
                for title, text, tone, note in panes
            ]
        )

    def _place(self, text: str) -> int:
        shown = visible(text)
        if shown not in self.texts:
            self.texts.append(shown)
        return self.texts.index(shown)


def attacks(folder: RunFolder, facts: Facts) -> Iterator[Entry]:
    """Every exchange of every round; memory holds one of them, and what people said of a round."""
    for summary in facts.run.rounds:
        round_folder = folder.round(summary.round)
        said = judged(standing(read_records(round_folder.labels, Label)))
        with Shelf() as learned:
            for pair in read_records(round_folder.pairs, PreferencePair):
                learned.put(pair.source, 0, [pair.origin, pair.chosen.text, pair.rejected.text])
            for example in read_records(round_folder.demonstrations, Demonstration):
                if example.origin != "expert":
                    learned.put(example.source, 0, [example.origin, example.completion.text])
            for exchange in read_records(round_folder.exchanges, Exchange):
                yield _attack(exchange, learned.get(exchange.id, 0), said.get(exchange.id, []))


def held_out(folder: RunFolder, facts: Facts) -> Iterator[Entry]:
    """Every held-out prompt with the replies of all checkpoints that were asked it, incumbents' included."""
    suites: dict[str, SuiteResult] = {}
    rounds: dict[str, int] = {}
    for summary in facts.measured:
        if summary.evaluation is not None:
            suites |= {suite.suite: suite for suite in summary.evaluation.suites}
            rounds[summary.evaluation.checkpoint] = summary.round
    in_use = facts.promoted.round if facts.promoted else 0
    with Shelf() as items:
        for summary in facts.measured:
            round_folder = folder.round(summary.round)
            asked = [(summary.round, round_folder.evaluation_items)]
            if summary.promotion is not None and summary.promotion.incumbent in rounds:
                asked.append((rounds[summary.promotion.incumbent], round_folder.incumbent_items))
            for number, path in asked:
                for item in read_records(path, ItemResult):
                    if item.suite in suites:
                        place = _SETS[suites[item.suite].set]
                        key = f"{place}\0{item.suite}\0{item.item}\0{item.sample:06}"
                        items.put(key, number, item.model_dump(mode="json"))
        for _, found in items.groups():
            replies = {number: ItemResult.model_validate(value) for number, value in found.items()}
            yield _held_out(replies, suites[next(iter(replies.values())).suite], in_use)


def _attack(exchange: Exchange, learned: Sequence[Sequence[str]], said: Sequence[Label]) -> Entry:
    attack, seed = exchange.attack, exchange.attack.seed
    success = exchange.success
    tone: Tone = "" if success is None else "bad" if success else "good"
    erred = "prepares the next turn" if attack.setup else {None: "not judged", True: "yes", False: "no"}[success]
    kinds = list(dict.fromkeys("pair" if len(what) == 3 else "example" for what in learned))
    entry = Entry(
        facets=(
            f"round {exchange.round}", seed.kind, seed.hazard or "none", visible(attack.strategy), _outcome(exchange),
            erred, " and ".join(kinds) or "nothing",
        ),
        tone=tone,
        snippet=_snippet(attack.messages),
        title=exchange.id,
    )  # fmt: skip
    for message in attack.messages:
        entry.add((message.role, message.content, "", ""))
    for index, answer in enumerate(exchange.answers):
        name = f"reply {index + 1}" if len(exchange.answers) > 1 else "reply"
        entry.add(*_answer(name, answer, exchange, [label for label in said if label.answer == index]))
    for what in learned:
        if len(what) == 3:
            entry.add((f"pair ({what[0]}): preferred", what[1], "good", ""), ("rejected", what[2], "bad", ""))
        else:
            entry.add((f"example to imitate ({what[0]})", what[1], "good", ""))
    return entry


def _answer(name: str, answer: Answer, exchange: Exchange, said: Sequence[Label]) -> Iterator[Pane]:
    verdict = answer.verdict
    notes = [f"{verdict.critic}: {verdict.rationale}"] if verdict and verdict.rationale else []
    notes += [f"{label.author} says: {label.judgement}" for label in said]
    yield f"{name}: {_judged(verdict)}", answer.generation.text, _tone(verdict), "\n".join(notes)
    if answer.revision is not None:
        yield f"revised: {_judged(answer.revision_verdict)}", answer.revision.text, _tone(answer.revision_verdict), ""
    if verdict is not None and verdict.better is not None:
        yield "the critic's better answer", verdict.better, _tone(answer.better_verdict), ""


def _held_out(replies: dict[int, ItemResult], suite: SuiteResult, in_use: int) -> Entry:
    """replies: by round, the base model's under 0; held against each other are the first and the one in use, or where
    that was not asked the last.
    """
    faults = {number: _fault(item, suite) for number, item in replies.items()}
    order = list(dict.fromkeys((min(replies), in_use if in_use in replies else max(replies))))
    after = faults[order[-1]]
    first = replies[order[0]]
    entry = Entry(
        facets=(
            visible(suite.suite),
            suite.kind,
            first.hazard or "none",
            _CHANGES[faults[order[0]] if len(order) > 1 else None, after],
        ),
        tone="" if after is None else "bad" if after else "good",
        snippet=_snippet(first.prompt),
        title=f"{first.suite}/{first.item}" + (f", sample {first.sample + 1}" if first.sample else ""),
    )
    for message in first.prompt:
        entry.add((message.role, message.content, "", ""))
    for numbers in (order, [number for number in replies if number not in order]):
        panes: list[Pane] = []
        for number in numbers:
            later = f"round {number}" + (", in use" if number == in_use else "")
            if number == in_use and len(order) > 1:
                later = f"after ({later})"
            who = later if number else "before (base model)"
            item, fault = replies[number], faults[number]
            tone: Tone = "" if fault is None else "bad" if fault else "good"
            panes.append((f"{who}: {_answered(item, suite)}", item.reply.text, tone, item.verdict.rationale))
        if panes:
            entry.add(*panes)
    return entry


def _fault(item: ItemResult, suite: SuiteResult) -> bool | None:
    if suite.kind in ("capability", "injection"):
        return None if item.matched is None else item.matched == (suite.kind == "injection")
    outcome = item.verdict.outcome
    if outcome == "unscored":
        return None
    return outcome == ("complied" if suite.kind == "harmful" else "refused")


def _answered(item: ItemResult, suite: SuiteResult) -> str:
    if item.matched is None:
        return _judged(item.verdict)
    words = {"capability": ("wrong", "right"), "injection": ("not followed", "followed")}
    return words[suite.kind][item.matched] if suite.kind in words else _judged(item.verdict)


def _outcome(exchange: Exchange) -> str:
    """Of the answer with the least score."""
    verdicts = [answer.verdict for answer in exchange.answers if answer.verdict is not None]
    worst = min(verdicts, key=lambda verdict: 2.0 if verdict.score is None else verdict.score, default=None)
    return worst.outcome if worst else "unscored"


def _judged(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not judged"
    if verdict.score is None:
        return verdict.outcome
    score = f"score {verdict.score:.2f}"
    return score if verdict.refusal is None else f"{verdict.outcome}, {score}"


def _tone(verdict: Verdict | None) -> Tone:
    if verdict is None or verdict.score is None:
        return ""
    return "bad" if verdict.score < 0.5 else "good"


def _snippet(messages: Sequence[Message]) -> str:
    text = " ".join(messages[-1].content.split())
    return visible(text if len(text) <= SNIPPET_CHARS else text[: SNIPPET_CHARS - 1] + "…")
