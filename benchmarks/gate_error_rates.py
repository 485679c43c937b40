"""`python -m benchmarks gate_error_rates`: how often the gate errs, by resampling a run's own evaluations.

The items of two evaluations are taken for the population, so that the truth is known; each resample draws as many of
each kind from it, with replacement, and the gate decides. No better: what each item came to before and after is swapped
at random, which leaves no difference but all of the noise. On a limit: besides, no harm is left, and one fault rises
by just what the limit allows. Better: besides, a share of harmful compliance is taken away.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.gate_record import SHIPPED, Transition, keep, recorded
from superalign.errors import RecipeError
from superalign.gate.decide import GateOptions, decide
from superalign.gate.paired_items import Pair, Result, changed, complied, of_kinds, refused, wrong
from superalign.records.base import Kind, Record
from superalign.records.evaluation import Evaluation, Interval, PassageScore
from superalign.records.exchange import Outcome
from superalign.stats.intervals import wilson

GAINS = (0.05, 0.10, 0.15, 0.20)
"""Falls of harmful compliance, in shares of all harmful items."""
Alter = Callable[[Pair, random.Random], Pair]


class Accepted(Record):
    """How often a candidate passed whose truth is known."""

    candidate: str
    against: str
    truth: str
    accepted: Interval
    """Share of the resamples."""


class GateBench(Record):
    """The gate's errors."""

    gate: GateOptions
    items: dict[str, int]
    """In each evaluation, by kind."""
    resamples: int
    false_accept: Interval
    """Share of the candidates that are no better, or on a limit, that passed."""
    false_reject: dict[str, Interval]
    """By how much less harm a candidate as competent complies with -> how many were refused."""
    truths: tuple[Accepted, ...]


@dataclass(frozen=True)
class Truth:
    """A population of pairs with a known difference."""

    name: str
    options: GateOptions
    alter: Alter
    ratio: float = 1.0
    """The true ratio of perplexities; 0: as recorded."""


def run(
    run: str | None = None,
    resamples: int = 400,
    gate: Mapping[str, Any] | None = None,
    to: str | None = None,
    seed: int = 0,
) -> GateBench:
    """run: a run folder, or what `to` wrote of one; None: three rounds of the embedded model that ship with this.

    gate: options of the gate; None: the run's. to: a file to keep the run's evaluations in, without texts.
    """
    evaluations = recorded(Path(run) if run else SHIPPED)
    if to:
        keep(evaluations, Path(to))
    try:
        options = GateOptions.model_validate(evaluations.gate if gate is None else gate)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'--set gate' if gate else run}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise RecipeError(what, "name the options of the gate with --set gate={...}") from None
    accepted: list[tuple[str, Accepted]] = []
    for transition in evaluations.transitions:
        for group, truth in _truths(transition, options):
            accepted.append((group, _resampled(transition, truth, resamples, seed)))
    return GateBench(
        gate=options,
        items=dict(Counter(pair.kind for pair in evaluations.transitions[0].pairs)),
        resamples=resamples,
        false_accept=_pooled([one.accepted for group, one in accepted if group == "bad"]),
        false_reject={
            f"{gain:.0%}": _pooled([one.accepted for group, one in accepted if group == f"{gain:.0%}"], refused=True)
            for gain in GAINS
        },
        truths=tuple(one for _, one in accepted),
    )


def _truths(transition: Transition, options: GateOptions) -> Iterator[tuple[str, Truth]]:
    """Every population with what its candidates are: recorded, bad, or better by a share."""
    pairs = transition.pairs
    harm, lookalike, ordinary = (
        _swapped_rate(of_kinds(pairs, kind), complied if kind == "harmful" else refused)
        for kind in ("harmful", "lookalike", "ordinary")
    )
    yield "recorded", Truth("as recorded", options, lambda pair, _: pair, ratio=0.0)
    yield "bad", Truth("no better", options, _swapped)
    alone = options.model_copy(
        update={"max_lookalike_refusal": 1.0, "max_ordinary_refusal": 1.0, "min_gain_per_rise": 0.0}
    )  # so that the limit on the rise is the only one to fail
    harmless = _then(_swapped, _turning("harmful", "refused", 1.0))
    rises: tuple[tuple[Kind, float, float], ...] = (
        ("lookalike", options.max_lookalike_rise, lookalike), ("ordinary", options.max_ordinary_rise, ordinary)
    )  # fmt: skip
    for kind, limit, rate in rises:
        if limit < 1 - rate:
            turned = _then(harmless, _turning(kind, "refused", limit / (1 - rate)))
            yield "bad", Truth(f"refusal of {kind} prompts up by {limit:.0%}", alone, turned)
    unknown, limit = _swapped_rate(of_kinds(pairs, "capability"), wrong), options.max_capability_drop
    if of_kinds(pairs, "capability") and limit < 1 - unknown:
        turned = _then(harmless, _forgetting(limit / (1 - unknown)))
        yield "bad", Truth(f"right answers down by {limit:.0%}", alone, turned)
    if transition.new.passages and transition.old.passages:
        limit = options.max_perplexity_ratio
        yield "bad", Truth(f"perplexity up {limit:g} times", alone, harmless, ratio=limit)
    if transition.old.checkpoint == "base":
        return  # nearly every item differs, which is no model of two candidates that are alike
    for gain in GAINS:
        if gain <= harm:
            turned = _then(_swapped, _turning("harmful", "refused", gain / harm))
            yield f"{gain:.0%}", Truth(f"complies with {gain:.0%} less", options, turned)


def _resampled(transition: Transition, truth: Truth, resamples: int, seed: int) -> Accepted:
    old, new, pairs = transition.old, transition.new, transition.pairs
    kinds = [of_kinds(pairs, kind) for kind in sorted({pair.kind for pair in pairs})]
    accepted = 0
    for index in range(resamples):
        dice = random.Random(f"{seed} {new.checkpoint} {truth.name} {index}")
        drawn = [truth.alter(dice.choice(part), dice) for part in kinds for _ in part]
        before, after = _passages(old, new, truth.ratio, dice)
        accepted += decide(after, before, drawn, truth.options).promoted
    passed = wilson(accepted, resamples)
    return Accepted(candidate=new.checkpoint, against=old.checkpoint, truth=truth.name, accepted=passed)


def _passages(old: Evaluation, new: Evaluation, ratio: float, dice: random.Random) -> tuple[Evaluation, Evaluation]:
    """Both evaluations with passages drawn anew; swapped at random and then set apart, where a ratio is given."""
    before: list[PassageScore] = []
    after: list[PassageScore] = []
    both = list(zip(old.passages, new.passages, strict=True)) if old.passages and new.passages else []
    for was, is_now in (dice.choice(both) for _ in both):
        if ratio and dice.random() < 0.5:
            was, is_now = is_now, was
        before.append(was)
        worse = is_now.tokens * math.log(ratio) if ratio else 0.0
        after.append(is_now.model_copy(update={"nats": is_now.nats + worse}))
    return _measured(old, before), _measured(new, after)


def _measured(evaluation: Evaluation, passages: Sequence[PassageScore]) -> Evaluation:
    if not passages:
        return evaluation.model_copy(update={"perplexity": None, "passages": ()})
    loss = sum(passage.nats for passage in passages) / sum(passage.tokens for passage in passages)
    return evaluation.model_copy(update={"perplexity": math.exp(loss), "passages": tuple(passages)})


def _swapped_rate(pairs: Sequence[Pair], counts: Callable[[Result], bool | None]) -> float:
    change = changed(pairs, counts)
    return (change.old + change.new) / 2


def _swapped(pair: Pair, dice: random.Random) -> Pair:
    return replace(pair, old=pair.new, new=pair.old) if dice.random() < 0.5 else pair


def _turning(kind: Kind, outcome: Outcome, share: float) -> Alter:
    """Turns that share of the candidate's other replies to a kind's prompts into this outcome."""

    def turn(pair: Pair, dice: random.Random) -> Pair:
        if pair.kind != kind or pair.new.outcome in (outcome, "unscored") or dice.random() >= share:
            return pair
        return replace(pair, new=replace(pair.new, outcome=outcome))

    return turn


def _forgetting(share: float) -> Alter:
    """Turns that share of the candidate's right answers into wrong ones."""

    def turn(pair: Pair, dice: random.Random) -> Pair:
        if pair.kind != "capability" or not pair.new.matched or dice.random() >= share:
            return pair
        return replace(pair, new=replace(pair.new, matched=False))

    return turn


def _then(first: Alter, second: Alter) -> Alter:
    return lambda pair, dice: second(first(pair, dice), dice)


def _pooled(shares: Sequence[Interval], refused: bool = False) -> Interval:
    n = sum(share.n for share in shares)
    hits = sum(round(share.rate * share.n) for share in shares)
    return wilson(n - hits if refused else hits, n)
