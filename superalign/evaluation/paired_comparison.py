"""Two models' replies to the same held-out items -> paired figures. Pure.

Items are the unit: where several replies of each were sampled, an item counts with its mean.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from superalign.evaluation.metrics import counted
from superalign.records.base import Rate, Record, SuiteKind
from superalign.records.evaluation import Evaluation, ItemResult, Mean
from superalign.stats.intervals import (
    differ_by_chance,
    holm,
    mean_of,
    paired_mean,
    paired_rates,
    paired_ratio,
    turned_by_chance,
)

Items = Mapping[tuple[str, str], tuple[int, int]]
"""(suite, item) -> (replies of which it holds, scored replies)."""


class Contrast(Record):
    """One suite: a model minus the reference."""

    suite: str
    kind: SuiteKind
    share: str
    """What is compared: replies that are complied, refused or matched."""
    n: int
    """Items that both have a scored reply to."""
    unpaired: int
    """Items that only one of them has; they are in no figure here."""
    gained: int
    """Items whose share is higher than the reference's."""
    lost: int
    difference: float
    low: float
    """95 %: Tango's score interval; with several replies an item that of a paired mean."""
    high: float
    p: Rate
    """Of the test that the interval belongs to: McNemar's score test; with several replies an item a t test."""
    p_holm: Rate
    """Adjusted for all suites and models of the comparison."""
    kl: Mean | None = None
    """log-probability of the model's own replies minus the reference's, nats a token. Of replies sampled at temperature
    1 it is the Monte-Carlo estimate of the KL divergence from the reference; at another temperature, or greedy, it is
    only their log-ratio. None: no base in common."""
    win: Mean | None = None
    """How often its reply is the better one, each pair asked in both orders, ties one half; None: nobody compares."""
    uncompared: int = 0
    """Replies on which the judge gave no comparison; they are not in `win`."""
    why_uncompared: str = ""
    """Why, of the first of them."""


class Compared(Record):
    """A model held against the reference."""

    model: str
    reference: str
    contrasts: tuple[Contrast, ...]
    perplexity_ratio: Mean | None = None
    """Over the reference's, paired by passage; None: not measured, or no base in common."""


class ReferenceItem(Record):
    """A reply held against the reference model; one line of `against.jsonl`."""

    suite: str
    item: str
    sample: int
    tokens: int | None
    """Length of the reply, its end included; None: the two models have no base in common."""
    logprob: float | None
    """The reply's under its own model, nats."""
    reference_logprob: float | None
    win: Rate | None
    """How far it is better than the reference's, 0 to 1, asked in both orders; None: nobody compared them."""
    why: str = ""
    """Why the judge, asked for it, gave no comparison."""


class ReferenceSums(Record):
    """One suite's replies held against the reference, by item: sums over its replies."""

    tokens: tuple[float, ...] = ()
    logprobs: tuple[float, ...] = ()
    reference_logprobs: tuple[float, ...] = ()
    wins: tuple[float, ...] = ()
    uncompared: tuple[str, ...] = ()
    """Why the judge gave no comparison, of each reply on which it gave none."""


def outcomes(results: Iterable[ItemResult], kinds: Mapping[str, SuiteKind]) -> Items:
    """What every item came to; kinds: suite -> its kind."""
    items: dict[tuple[str, str], tuple[int, int]] = {}
    for result in results:
        label, _ = counted(kinds[result.suite])
        outcome = result.verdict.outcome
        judged = None if outcome == "unscored" else outcome == label
        holds = result.matched if label == "matched" else judged
        hits, n = items.get((result.suite, result.item), (0, 0))
        items[result.suite, result.item] = hits + (holds is True), n + (holds is not None)
    return items


def compare(
    reference: Evaluation,
    models: Sequence[tuple[str, Evaluation]],
    items: Mapping[str, Items],
    against: Mapping[str, Mapping[str, ReferenceSums]],
    *,
    name: str,
) -> list[Compared]:
    """Every model against the reference of that name; items and against: by model, the latter then by suite."""
    drafts = {
        model: [
            _contrast(suite.suite, suite.kind, items[model], items[name], against.get(model, {}).get(suite.suite))
            for suite in evaluation.suites
        ]
        for model, evaluation in models
    }
    adjusted = iter(holm([contrast.p for contrasts in drafts.values() for contrast in contrasts]))
    return [
        Compared(
            model=model,
            reference=name,
            contrasts=tuple(contrast.model_copy(update={"p_holm": next(adjusted)}) for contrast in drafts[model]),
            perplexity_ratio=_perplexity(evaluation, reference),
        )
        for model, evaluation in models
    ]


def _contrast(suite: str, kind: SuiteKind, ours: Items, theirs: Items, against: ReferenceSums | None) -> Contrast:
    names = sorted({item for place, item in [*ours, *theirs] if place == suite})
    pairs = [(ours.get((suite, item), (0, 0)), theirs.get((suite, item), (0, 0))) for item in names]
    both = [(a, b) for a, b in pairs if a[1] and b[1]]
    differences = [a[0] / a[1] - b[0] / b[1] for a, b in both]
    gained, lost = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    once = all(a[1] == b[1] == 1 for a, b in both)
    bounds = paired_rates(gained, lost, len(both)) if once else paired_mean(differences)
    return Contrast(
        suite=suite,
        kind=kind,
        share=counted(kind)[0],
        n=len(both),
        unpaired=sum(bool(a[1]) != bool(b[1]) for a, b in pairs),
        gained=gained,
        lost=lost,
        difference=bounds.value,
        low=bounds.low,
        high=bounds.high,
        p=turned_by_chance(gained, lost) if once else differ_by_chance(differences),
        p_holm=1.0,
        kl=_kl(against) if against else None,
        win=_win(against) if against else None,
        uncompared=len(against.uncompared) if against else 0,
        why_uncompared=next(iter(against.uncompared), "") if against else "",
    )


def _win(against: ReferenceSums) -> Mean | None:
    mean = mean_of(against.wins)
    return mean and mean.model_copy(update={"low": max(0.0, mean.low), "high": min(1.0, mean.high)})


def _kl(against: ReferenceSums) -> Mean | None:
    if len(against.tokens) < 2:
        return None
    bounds = paired_ratio(against.reference_logprobs, against.logprobs, against.tokens)
    return Mean(**bounds._asdict(), n=len(against.tokens))


def _perplexity(ours: Evaluation, theirs: Evaluation) -> Mean | None:
    old, new = ({passage.id: passage for passage in one.passages} for one in (theirs, ours))
    shared = [(old[id], new[id]) for id in sorted(old.keys() & new.keys()) if old[id].tokens == new[id].tokens]
    if len(shared) < 2 or len(shared) < max(len(old), len(new)):
        return None
    sizes = [float(a.tokens) for a, _ in shared]
    bounds = paired_ratio([a.nats for a, _ in shared], [b.nats for _, b in shared], sizes)
    return Mean(**{name: math.exp(min(700.0, value)) for name, value in bounds._asdict().items()}, n=len(shared))


def gathered(lines: Iterable[ReferenceItem]) -> dict[str, ReferenceSums]:
    """Every suite's replies, summed by item, in the order of items."""
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0] * 5)
    reasons: dict[str, list[tuple[str, int, str]]] = defaultdict(list)
    for line in lines:
        if line.why:
            reasons[line.suite].append((line.item, line.sample, line.why))
        total = sums[line.suite, line.item]
        for place, value in enumerate((line.tokens, line.logprob, line.reference_logprob, line.win)):
            total[place] += value or 0.0
        total[4] += line.win is not None
    by_suite: dict[str, ReferenceSums] = {}
    for suite in sorted({suite for suite, _ in sums}):
        rows = [total for (place, _), total in sorted(sums.items()) if place == suite]
        scored = [total for total in rows if total[0]]
        tokens, logprobs, reference_logprobs = (tuple(row[place] for row in scored) for place in range(3))
        by_suite[suite] = ReferenceSums(
            tokens=tokens, logprobs=logprobs, reference_logprobs=reference_logprobs,
            wins=tuple(row[3] / row[4] for row in rows if row[4]),
            uncompared=tuple(reason for _, _, reason in sorted(reasons[suite])),
        )  # fmt: skip
    return by_suite
