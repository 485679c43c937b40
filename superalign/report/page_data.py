"""What the sections of the pages are made from."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import Markup

from superalign.analysis.summary import RoundSummary, RunSummary, summarise
from superalign.gate.decide import pooled
from superalign.gate.paired_items import Pair, pair_items
from superalign.records.base import Record, SuiteKind
from superalign.records.evaluation import Evaluation, Interval, ItemResult
from superalign.report.charts import Dot, State
from superalign.stats.intervals import wilson
from superalign.store.journal import read_records
from superalign.store.round_folder import read_record
from superalign.store.run_folder import RunFolder


@dataclass(frozen=True)
class ModelFigures:
    """A model with its held-out figures: a column of tables, a marker in pictures."""

    label: str
    """Short: `base`, `1`."""
    name: str
    state: State
    evaluation: Evaluation

    def dot(self, y: Interval, x: Interval | None = None) -> Dot:
        """Its marker in a picture."""
        return Dot(label=self.label, name=self.name, state=self.state, y=y, x=x)


@dataclass(frozen=True)
class Facts:
    """A run as its page shows it."""

    run: RunSummary
    rounds: int | None
    """How many the recipe asks for; None: it does not say."""
    resolved: dict[str, Any]
    """The recipe with all its defaults."""
    recipe: str
    """The recipe as it was written."""
    losses: dict[int, list[tuple[str, list[float]]]]
    """By round: each stage of training with the loss of every step."""
    pairs: tuple[Pair, ...]
    """The base model's replies and those of the checkpoint in use to the same items of the frozen suites."""

    @property
    def measured(self) -> list[tuple[RoundSummary, ModelFigures]]:
        """The rounds with a held-out evaluation, the base model's first."""
        return [
            (s, ModelFigures(str(s.round) if s.round else "base", f"round {s.round}" if s.round else "base model",
                         state_of(s), s.evaluation))
            for s in self.run.rounds if s.evaluation is not None
        ]  # fmt: skip

    @property
    def base(self) -> Evaluation | None:
        """The base model's measurements."""
        return next((s.evaluation for s in self.run.rounds if s.round == 0), None)

    @property
    def promoted(self) -> RoundSummary | None:
        """The round whose checkpoint is in use; None while that is the base model."""
        current = self.run.current
        if current is None or current.adapter is None:
            return None
        return next((s for s in self.run.rounds if s.evaluation and s.evaluation.checkpoint == current.id), None)

    @property
    def finished(self) -> bool:
        """Whether all rounds that the recipe asks for are sealed."""
        done = sum(summary.done for summary in self.run.rounds if summary.round)
        return self.rounds is not None and done >= self.rounds


Section = Callable[[Facts], Markup | None]
"""The inside of a section; None if the run has nothing to say about it."""


class BeforeAfter(Record):
    """A held-out prompt with the base model's reply and the promoted checkpoint's."""

    kind: SuiteKind
    prompt: str
    before: str
    after: str


def gather(folder: RunFolder) -> Facts:
    """Everything but the exchanges themselves."""
    rounds = folder.resolved.get("rounds")
    facts = Facts(
        run=summarise(folder),
        rounds=rounds if isinstance(rounds, int) else None,
        resolved=folder.resolved,
        recipe=folder.recipe.read_text("utf-8", errors="replace") if folder.recipe.exists() else "",
        losses={},
        pairs=(),
    )
    losses = {summary.round: _losses(folder, summary.round) for summary in facts.run.rounds}
    trained = {number: stages for number, stages in losses.items() if stages}
    return replace(facts, losses=trained, pairs=_paired(folder, facts))


def before_after(folder: RunFolder, per_kind: int = 1) -> list[BeforeAfter]:
    """Held-out prompts of each kind, harmful ones first, and what changed; [] while only the base is promoted."""
    current = folder.current()
    if current.adapter is None:
        return []
    number = int(current.id.rpartition("-")[2])
    suites = read_record(folder.round(number).evaluation_json, Evaluation).suites
    kinds: dict[str, SuiteKind] = {suite.suite: suite.kind for suite in suites}
    before = {(item.suite, item.item): item for item in read_records(folder.round(0).evaluation_items, ItemResult)}
    chosen: dict[SuiteKind, list[BeforeAfter]] = {"harmful": [], "lookalike": [], "ordinary": []}
    for item in read_records(folder.round(number).evaluation_items, ItemResult):
        kind, old = kinds.get(item.suite), before.get((item.suite, item.item))
        if kind not in chosen or old is None or len(chosen[kind]) >= per_kind:
            continue
        if kind == "harmful" and (old.verdict.outcome, item.verdict.outcome) != ("complied", "refused"):
            continue
        prompt = item.prompt[-1].content
        chosen[kind].append(BeforeAfter(kind=kind, prompt=prompt, before=old.reply.text, after=item.reply.text))
    return [case for cases in chosen.values() for case in cases]


def state_of(summary: RoundSummary) -> State:
    """As pictures show it; the base model is where promotion begins."""
    if summary.round == 0:
        return "promoted"
    if summary.promotion is None:
        return "open"
    return "promoted" if summary.promotion.promoted else "refused"


def harm_done(evaluation: Evaluation) -> Interval | None:
    """Harmful requests complied with, over all suites of the kind."""
    return pooled(evaluation, ("harmful",), "complied")


def refused(evaluation: Evaluation) -> Interval | None:
    """Benign requests refused, look-alikes and ordinary ones together."""
    return pooled(evaluation, ("lookalike", "ordinary"), "refused")


def right(evaluation: Evaluation) -> Interval | None:
    """Right answers to all frozen suites with an answer key; None: there is none."""
    parts = [s.matched for s in evaluation.suites if s.set == "frozen" and s.kind == "capability" and s.matched]
    n, hits = sum(part.n for part in parts), sum(round(part.rate * part.n) for part in parts)
    return wilson(hits, n, sum(part.unscored for part in parts)) if n else None


def rest(value: Interval) -> Interval:
    """The share that is left: what was not complied with, what was not refused."""
    return value.model_copy(update={"rate": 1 - value.rate, "low": 1 - value.high, "high": 1 - value.low})


def _losses(folder: RunFolder, number: int) -> list[tuple[str, list[float]]]:
    path = folder.round(number).training_json
    stages: Sequence[dict[str, Any]] = json.loads(path.read_bytes())["stages"] if path.exists() else ()
    named = ((str(stage.get("name", "training")), [x for x in stage["losses"] if math.isfinite(x)]) for stage in stages)
    return [(name, losses) for name, losses in named if losses]


def _paired(folder: RunFolder, facts: Facts) -> tuple[Pair, ...]:
    in_use = facts.promoted
    if in_use is None or in_use.evaluation is None:
        return ()
    old, new = (read_records(folder.round(n).evaluation_items, ItemResult) for n in (0, in_use.round))
    return tuple(pair for pair in pair_items(old, new, in_use.evaluation.suites) if pair.set == "frozen")
