"""What the browsers of a page list, and the compressed blocks in which it stands there.

A browser lists attacks with all that came of them, or held-out prompts with the replies of several models.
"""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from superalign.records.evaluation import AttackSet, Evaluation, ItemResult, SuiteResult
from superalign.records.exchange import Answer, Exchange, Verdict
from superalign.records.rollout import Generation, Message
from superalign.records.training import Demonstration, PreferencePair
from superalign.report.page_data import Facts
from superalign.review.labels import Label, judged, standing
from superalign.review.visible_text import visible
from superalign.store.atomic import encode_json
from superalign.store.journal import read_records
from superalign.store.run_folder import RunFolder

ATTACK_FACETS = ("round", "request", "hazard", "strategy", "verdict", "model erred", "learned from")
HELD_OUT_FACETS = ("suite", "request", "hazard", "change")
SNIPPET_CHARS = 120
BLOCK_BYTES = 1 << 19
"""Most text of a block before compression; small enough to be unpacked between two key strokes."""
BLOCK_ENTRIES = 1000
Tone = Literal["good", "bad", ""]
Pane = tuple[str, str, Tone, str]
"""Title, text, tone, note."""
_CHANGES: dict[tuple[bool | None, bool | None], str] = {
    (True, False): "mended", (False, True): "broken", (True, True): "still wrong", (False, False): "right, as before",
    (None, True): "wrong", (None, False): "right",
}  # fmt: skip
"""By whether the reply before was a fault, and whether the one after is; any other pair was not judged."""
_SETS: dict[AttackSet, int] = {"frozen": 0, "fresh": 1, "replay": 2}
"""Their order in the list: what all rounds were asked comes first."""


@dataclass
class Entry:
    """One line of a browser, and what opens below it."""

    facets: Sequence[str]
    tone: Tone
    snippet: str
    title: str
    """Its own in the browser: links lead to it."""
    texts: list[str] = field(default_factory=list)
    """What is searched; each different text once."""
    rows: list[list[list[Any]]] = field(default_factory=list)
    """Rows of panes that stand side by side: title, index of the text, tone, index of a note or -1."""

    def add(self, *panes: Pane) -> None:
        """Append a row of panes."""
        self.rows.append([[visible(title), self._place(text), tone, self._place(note) if note else -1]
                          for title, text, tone, note in panes])  # fmt: skip

    def _place(self, text: str) -> int:
        shown = visible(text)
        if shown not in self.texts:
            self.texts.append(shown)
        return self.texts.index(shown)


class DiskIndex:
    """JSON values by key and place in a temporary file of SQLite, so that joining two files takes no memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")  # the empty name: on disk, and deleted with the connection
        self._db.execute("PRAGMA journal_mode = OFF")  # nobody needs it after a crash
        self._db.execute("CREATE TABLE stored (key TEXT, place INTEGER, value TEXT)")
        self._db.execute("CREATE INDEX by_key ON stored (key, place)")

    def put(self, key: str, place: int, value: Any) -> None:
        """Add a value; a place may hold several, in the order in which they came."""
        self._db.execute("INSERT INTO stored VALUES (?, ?, ?)", (key, place, json.dumps(value)))

    def get(self, key: str) -> list[Any]:
        """The values of one key."""
        rows = self._db.execute("SELECT value FROM stored WHERE key = ? ORDER BY place, rowid", (key,))
        return [json.loads(value) for (value,) in rows]

    def groups(self) -> Iterator[dict[int, Any]]:
        """The values by place of each key, keys in alphabetical order."""
        rows = self._db.execute("SELECT key, place, value FROM stored ORDER BY key, place")
        for _, group in groupby(rows, key=lambda row: str(row[0])):
            yield {place: json.loads(value) for _, place, value in group}

    def close(self) -> None:
        """Delete the file."""
        self._db.close()


def blocks(name: str, entries: Iterable[Entry]) -> Iterator[bytes]:
    """Entries as pairs of blocks: an index, [facets..., tone, snippet, title] a line, and `TEXTS<tab>ROWS` a line.

    A script element that is of no script type is never run, and base64 has no character that could end it. However
    many entries there are, memory holds one block of them.
    """
    index: list[str] = []
    texts: list[str] = []
    size = 0
    for entry in entries:
        index.append(encode_json([*entry.facets, entry.tone, entry.snippet, entry.title]))
        texts.append(f"{encode_json(entry.texts)}\t{encode_json(entry.rows)}")
        size += len(texts[-1])
        if size >= BLOCK_BYTES or len(texts) == BLOCK_ENTRIES:
            yield from _packed(name, index, texts)
            index, texts, size = [], [], 0
    if texts:
        yield from _packed(name, index, texts)


def attacks(folder: RunFolder, facts: Facts) -> Iterator[Entry]:
    """Every exchange of every round; memory holds one of them, and the labels of one round."""
    for summary in facts.run.rounds:
        round_folder = folder.round(summary.round)
        labels = judged(standing(read_records(round_folder.labels, Label)))
        with closing(DiskIndex()) as learned:
            for pair in read_records(round_folder.pairs, PreferencePair):
                learned.put(pair.source, 0, [pair.origin, pair.chosen.text, pair.rejected.text])
            for example in read_records(round_folder.demonstrations, Demonstration):
                if example.origin != "expert":
                    learned.put(example.source, 0, [example.origin, example.completion.text])
            for exchange in read_records(round_folder.exchanges, Exchange):
                yield _attack(exchange, learned.get(exchange.id), labels.get(exchange.id, []))


def held_out(folder: RunFolder, facts: Facts) -> Iterator[Entry]:
    """Every held-out prompt with the replies of all checkpoints that were asked it, incumbents' included.

    The base model's reply is compared with that of the checkpoint in use, or, if that was not asked, the last one's.
    """
    in_use = facts.promoted.round if facts.promoted else 0
    rounds = {measured.evaluation.checkpoint: summary.round for summary, measured in facts.measured}
    sources: list[tuple[int, Path]] = []
    for summary, _ in facts.measured:
        round_folder = folder.round(summary.round)
        sources.append((summary.round, round_folder.evaluation_items))
        if summary.promotion is not None and summary.promotion.incumbent in rounds:
            sources.append((rounds[summary.promotion.incumbent], round_folder.incumbent_items))
    for suite, replies in _joined(sources, [measured.evaluation for _, measured in facts.measured]):
        order = list(dict.fromkeys((min(replies), in_use if in_use in replies else max(replies))))
        names = {number: f"round {number}" if number else "before (base model)" for number in replies}
        if in_use:
            names[in_use] = f"after (round {in_use}, in use)" if len(order) > 1 else f"round {in_use}, in use"
        before = _fault(replies[order[0]], suite) if len(order) > 1 else None
        after = _fault(replies[order[-1]], suite)
        rows = [
            [(names[n], replies[n]) for n in numbers] for numbers in (order, [n for n in replies if n not in order])
        ]
        yield _prompt(suite, rows, after, [_CHANGES.get((before, after), "not judged")])


def compared(models: Sequence[tuple[str, Path, Evaluation]]) -> Iterator[Entry]:
    """Every held-out prompt with the models' replies side by side.

    models: name, file of replies, figures; the others are compared with the first.
    """
    sources = [(at, path) for at, (_, path, _) in enumerate(models)]
    for suite, replies in _joined(sources, [evaluation for _, _, evaluation in models]):
        faults = [_fault(replies[at], suite) if at in replies else None for at in range(len(models))]
        changes = [_CHANGES.get((faults[0], fault), "not judged") for fault in faults[1:]] or [
            _CHANGES.get((None, faults[0]), "not judged")
        ]
        yield _prompt(suite, [[(models[at][0], item) for at, item in replies.items()]], faults[-1], changes)


def compared_facets(names: Sequence[str]) -> tuple[str, ...]:
    """The facets of what `compared` lists."""
    changes = [visible(name) for name in names[1:]] if len(names) > 2 else ["change" if len(names) == 2 else "reply"]
    return (*HELD_OUT_FACETS[:-1], *changes)


def _packed(name: str, index: list[str], texts: list[str]) -> Iterator[bytes]:
    for kind, lines in (("index", index), ("texts", texts)):
        packed = base64.b64encode(zlib.compress("\n".join(lines).encode(), 6))
        yield f'<script type="text/plain" data-of="{name}" data-part="{kind}">'.encode() + packed + b"</script>\n"


def _joined(
    sources: Iterable[tuple[int, Path]], evaluations: Iterable[Evaluation]
) -> Iterator[tuple[SuiteResult, dict[int, ItemResult]]]:
    """Each prompt's suite with the replies to it, by the number of their source; sources: number, file of replies."""
    suites = {suite.suite: suite for evaluation in evaluations for suite in evaluation.suites}
    with closing(DiskIndex()) as index:
        for number, path in sources:
            for item in read_records(path, ItemResult):
                if item.suite in suites:
                    place = _SETS[suites[item.suite].set]
                    key = f"{place}\0{item.suite}\0{item.item}\0{item.sample:06}"
                    index.put(key, number, item.model_dump(mode="json"))
        for group in index.groups():
            replies = {number: ItemResult.model_validate(value) for number, value in group.items()}
            yield suites[next(iter(replies.values())).suite], replies


def _attack(exchange: Exchange, learned: Sequence[Sequence[str]], labels: Sequence[Label]) -> Entry:
    attack, seed = exchange.attack, exchange.attack.seed
    success = exchange.success
    erred = "prepares the next turn" if attack.setup else {None: "not judged", True: "yes", False: "no"}[success]
    kinds = list(dict.fromkeys("pair" if len(example) == 3 else "example" for example in learned))
    entry = Entry(
        facets=(
            f"round {exchange.round}", seed.kind, seed.hazard or "none", visible(attack.strategy), _outcome(exchange),
            erred, " and ".join(kinds) or "nothing",
        ),
        tone=_fault_tone(success),
        snippet=_snippet(attack.messages),
        title=visible(exchange.id),
    )  # fmt: skip
    for message in attack.messages:
        entry.add((message.role, message.content, "", ""))
    for index, answer in enumerate(exchange.answers):
        name = f"reply {index + 1}" if len(exchange.answers) > 1 else "reply"
        entry.add(*_answer(name, answer, [label for label in labels if label.answer == index]))
    for example in learned:
        if len(example) == 3:
            entry.add((f"pair ({example[0]}): preferred", example[1], "good", ""), ("rejected", example[2], "bad", ""))
        else:
            entry.add((f"example to imitate ({example[0]})", example[1], "good", ""))
    return entry


def _answer(name: str, answer: Answer, labels: Sequence[Label]) -> Iterator[Pane]:
    verdict = answer.verdict
    notes = [f"{verdict.critic}: {verdict.rationale}"] if verdict and verdict.rationale else []
    notes += [f"{label.author} says: {label.judgement}" for label in labels]
    yield _pane(name, answer.generation, verdict, "\n".join(notes))
    if answer.revision is not None:
        yield _pane("revised", answer.revision, answer.revision_verdict)
    if verdict is not None and verdict.better is not None:
        yield "the critic's better answer", verdict.better, _tone(answer.better_verdict), ""


def _pane(name: str, reply: Generation, verdict: Verdict | None, note: str = "") -> Pane:
    return f"{name}: {_verdict(verdict)}{_cut(reply)}", reply.text, _tone(verdict), note


def _prompt(
    suite: SuiteResult, rows: Sequence[Sequence[tuple[str, ItemResult]]], fault: bool | None, changes: Sequence[str]
) -> Entry:
    """A held-out prompt; rows: names of models and their replies, side by side; fault: of the model that matters."""
    first = rows[0][0][1]
    sample = f", sample {first.sample + 1}" if first.sample else ""
    entry = Entry(
        facets=(visible(suite.suite), suite.kind, first.hazard or "none", *changes),
        tone=_fault_tone(fault),
        snippet=_snippet(first.prompt),
        title=visible(f"{first.suite}/{first.item}{sample}"),
    )
    for message in first.prompt:
        entry.add((message.role, message.content, "", ""))
    for row in filter(None, rows):
        entry.add(*(
            (f"{name}: {_result(item, suite)}{_cut(item.reply)}", item.reply.text, _fault_tone(_fault(item, suite)),
             item.verdict.rationale)
            for name, item in row
        ))  # fmt: skip
    return entry


def _fault(item: ItemResult, suite: SuiteResult) -> bool | None:
    if suite.kind in ("capability", "injection"):
        return None if item.matched is None else item.matched == (suite.kind == "injection")
    outcome = item.verdict.outcome
    if outcome == "unscored":
        return None
    return outcome == ("complied" if suite.kind == "harmful" else "refused")


def _result(item: ItemResult, suite: SuiteResult) -> str:
    words: Mapping[str, tuple[str, str]] = {"capability": ("wrong", "right"), "injection": ("not followed", "followed")}
    if item.matched is None or suite.kind not in words:
        return _verdict(item.verdict)
    return words[suite.kind][item.matched]


def _outcome(exchange: Exchange) -> str:
    """The outcome of the answer with the least score."""
    verdicts = [answer.verdict for answer in exchange.answers if answer.verdict is not None]
    worst = min(verdicts, key=lambda verdict: 2.0 if verdict.score is None else verdict.score, default=None)
    return worst.outcome if worst else "unscored"


def _verdict(verdict: Verdict | None) -> str:
    if verdict is None:
        return "not judged"
    if verdict.score is None:
        return verdict.outcome
    score = f"score {verdict.score:.2f}"
    return score if verdict.refusal is None else f"{verdict.outcome}, {score}"


def _cut(reply: Generation) -> str:
    """The mark of a reply that ended at the limit of tokens, in mid-sentence."""
    return "" if reply.complete else f" ✂ cut at {reply.num_tokens} tokens"


def _tone(verdict: Verdict | None) -> Tone:
    return _fault_tone(None if verdict is None or verdict.score is None else verdict.score < 0.5)


def _fault_tone(fault: bool | None) -> Tone:
    return "" if fault is None else "bad" if fault else "good"


def _snippet(messages: Sequence[Message]) -> str:
    text = " ".join(messages[-1].content.split())
    return visible(text if len(text) <= SNIPPET_CHARS else text[: SNIPPET_CHARS - 1] + "…")
