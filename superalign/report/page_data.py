"""What the sections of the page are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from markupsafe import Markup

from superalign.analysis.summary import RoundSummary, RunSummary, summarise
from superalign.gate.decide import pooled
from superalign.gate.paired_items import Pair, pair_items
from superalign.records.evaluation import Evaluation, Interval, ItemResult
from superalign.report.charts import Dot, State
from superalign.stats.intervals import wilson
from superalign.store.journal import read_records
from superalign.store.run_folder import RunFolder


@dataclass(frozen=True)
class Facts:
    """A run as the page tells of it."""

    run: RunSummary
    rounds: int | None
    """How many the recipe wants; None: it does not say."""
    model: str
    pairs: tuple[Pair, ...]
    """The base model's replies and those of the checkpoint in use, to the same items of the frozen suites."""

    @property
    def measured(self) -> list[RoundSummary]:
        """The rounds with a held-out evaluation, the base model's first."""
        return [summary for summary in self.run.rounds if summary.evaluation is not None]

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
        measured = (s for s in self.run.rounds if s.evaluation and s.evaluation.checkpoint == current.id)
        return next(measured, None)

    @property
    def finished(self) -> bool:
        """Whether all rounds that the recipe wants are sealed."""
        done = sum(summary.done for summary in self.run.rounds if summary.round)
        return self.rounds is not None and done >= self.rounds


Section = Callable[[Facts], Markup | None]
"""The inside of a section; None where the run has nothing to say about it."""


def gather(folder: RunFolder) -> Facts:
    """Everything but the exchanges themselves."""
    resolved = folder.resolved
    rounds = resolved.get("rounds")
    facts = Facts(
        run=summarise(folder),
        rounds=rounds if isinstance(rounds, int) else None,
        model=str(resolved.get("model", "the model")),
        pairs=(),
    )
    return replace(facts, pairs=_paired(folder, facts))


def _paired(folder: RunFolder, facts: Facts) -> tuple[Pair, ...]:
    in_use = facts.promoted
    if in_use is None or in_use.evaluation is None:
        return ()
    old, new = (read_records(folder.round(n).evaluation_items, ItemResult) for n in (0, in_use.round))
    return tuple(pair for pair in pair_items(old, new, in_use.evaluation.suites) if pair.set == "frozen")


def state_of(summary: RoundSummary) -> State:
    """As pictures show it; the base model is where promotion begins."""
    if summary.round == 0:
        return "promoted"
    if summary.promotion is None:
        return "open"
    return "promoted" if summary.promotion.promoted else "refused"


def dot(summary: RoundSummary, y: Interval, x: Interval | None = None) -> Dot:
    """The round's checkpoint in a picture."""
    label, name = (str(summary.round), f"round {summary.round}") if summary.round else ("base", "base model")
    return Dot(label=label, name=name, state=state_of(summary), y=y, x=x)


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
