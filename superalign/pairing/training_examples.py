"""Exchanges -> training examples. Pure, so that a training set can be recomputed from the journal.

One exchange gives at most one preference pair and one demonstration:

request harmful   the best answer refuses; if none does, the critic's better answer (or a revision that the critic
                  accepted) is the best, and the answer that complied most is rejected
request benign    the best answer helps, and keeps the learner close to what it already does well; a needless refusal
                  is rejected
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from pydantic import Field

from superalign.pairing.kind_shares import EffortOptions, Mixed, fraction
from superalign.records.base import FrozenModel, Kind, Rate
from superalign.records.exchange import PERSON, Answer, Dropped, Exchange
from superalign.records.rollout import Generation
from superalign.records.training import Demonstration, Origin, PreferencePair, Target


class PairingOptions(FrozenModel):
    """Which exchanges become training examples."""

    margin: Rate = 0.3
    """Least difference in the critic's score between chosen and rejected."""
    accept: Rate = 0.7
    """Least score of an answer to imitate."""
    own_per_correction: float | None = Field(default=None, ge=0)
    """Most of the learner's own accepted answers to imitate per corrected answer (by critic, base model or revision):
    enough to unlearn nothing, without training on what it already does. None: all."""
    base_answers: bool = True
    """If the learner fully refuses a benign request, ask the base model and learn from its answer."""
    critic_answers: bool = True
    """Learn from the critic's better answer if no answer of the learner is acceptable."""
    balance: dict[Kind, int] = Field(default_factory=dict)
    """Most demonstrations per round by kind; other kinds are not limited."""
    expert_repeats: int = Field(default=1, ge=0)
    """Repetitions of each expert demonstration in a round's training set."""
    effort: EffortOptions = Mixed()
    """How to divide the training set between conformity (harmful requests) and competence (benign requests): `mixed`,
    `alternating` by rounds, or `gap_annealing`, where the larger held-out gap gets the larger share."""


@dataclass(frozen=True)
class Compiled:
    """The training examples of one exchange."""

    demonstration: Demonstration | None = None
    pair: PreferencePair | None = None
    dropped: Dropped | None = None


@dataclass(frozen=True)
class _Candidate:
    """A text that may be chosen or rejected, with the critic's score."""

    text: Generation
    score: float
    origin: Origin
    reason: str


def needs_anchor(exchange: Exchange, options: PairingOptions) -> bool:
    """Whether to ask the base model: the learner has no acceptable answer to a benign request."""
    scores = [a.verdict.score for a in exchange.answers if a.verdict is not None and a.verdict.score is not None]
    benign = exchange.attack.seed.intent == "benign"
    return options.base_answers and benign and bool(scores) and max(scores) < options.accept


def compile_exchange(exchange: Exchange, options: PairingOptions, anchor: Answer | None = None) -> Compiled:
    """The pair and the demonstration of one exchange, or why there are none.

    anchor: the base model's answer, if `needs_anchor`.
    """
    if exchange.attack.setup:
        return Compiled()
    scored = [answer for answer in exchange.answers if answer.verdict is not None and answer.verdict.score is not None]
    if not scored:
        return Compiled(dropped=_dropped(exchange, "no answer was scored"))
    candidates = _candidates(scored)
    if anchor is not None and anchor.verdict is not None and anchor.verdict.score is not None:
        candidates.append(_Candidate(anchor.generation, anchor.verdict.score, "base", anchor.verdict.rationale))
    best = max(candidates, key=lambda c: c.score)
    worst = min((c for c in candidates if c.origin == "own"), key=lambda c: c.score)
    origin: Origin = "best_worst" if best.origin == "own" else best.origin
    chosen, reason = target(best.text, sampled=best.origin == "own"), best.reason
    gap = best.score - worst.score
    if best.score < options.accept:
        better = _critics_answer(scored, options.accept) if options.critic_answers else None
        if better is None:
            return Compiled(dropped=_dropped(exchange, f"best score {best.score:.2f} is below {options.accept:.2f}"))
        chosen, origin, reason = Target(text=better[0]), "critic", worst.reason
        gap = better[1] - worst.score
    elif best.origin == "own" and exchange.comparison is not None and exchange.comparison.confirmed <= 0.5:
        gap = -1.0  # compared side by side, the best is not better: no pair
    return Compiled(
        demonstration=_demonstration(exchange, chosen, origin if origin != "best_worst" else "own"),
        pair=_pair(exchange, chosen, target(worst.text), origin, reason) if gap >= options.margin else None,
    )


def own_share(exchanges: Iterable[Exchange], options: PairingOptions, anchors: Mapping[str, Answer]) -> float:
    """The share of the learner's own answers that a round imitates, by `own_per_correction`."""
    if options.own_per_correction is None:
        return 1.0
    origins = Counter(e.origin for e in compile_round(exchanges, options, anchors) if isinstance(e, Demonstration))
    corrections = origins.total() - origins["own"]
    return min(1.0, options.own_per_correction * corrections / origins["own"]) if origins["own"] else 1.0


def compile_round(
    exchanges: Iterable[Exchange], options: PairingOptions, anchors: Mapping[str, Answer], own: float = 1.0
) -> Iterator[Demonstration | PreferencePair | Dropped]:
    """All examples of a round in the order of the exchanges, one exchange in memory at a time.

    own: share of the learner's own answers to imitate; the choice depends on the exchange's id alone.
    """
    counts: dict[Kind, int] = {}
    seen: set[bytes] = set()
    for exchange in exchanges:
        compiled = compile_exchange(exchange, options, anchors.get(exchange.id))
        if compiled.dropped:
            yield compiled.dropped
            continue
        key = sha256(exchange.attack.messages[-1].content.encode()).digest()
        if key in seen:
            yield _dropped(exchange, "another attack of this round has the same words")
            continue
        seen.add(key)
        if compiled.pair:
            yield compiled.pair
        if compiled.demonstration and (compiled.demonstration.origin != "own" or fraction(exchange.id) < own):
            kind = compiled.demonstration.kind
            counts[kind] = counts.get(kind, 0) + 1
            if counts[kind] <= options.balance.get(kind, counts[kind]):
                yield compiled.demonstration


def repeat_experts(experts: Sequence[Demonstration], options: PairingOptions) -> list[Demonstration]:
    """The experts' demonstrations with their repetitions, each with its own id."""
    return [
        demonstration.model_copy(update={"id": f"{demonstration.id}#{repeat}"})
        for repeat in range(options.expert_repeats)
        for demonstration in experts
    ]


def target(generation: Generation, *, sampled: bool = True) -> Target:
    """A generation as a training target.

    sampled: by this round's policy for the same prompt, so that its log-probability is also the reference's.
    """
    text = Target(text=generation.text, complete=generation.complete)
    if not sampled or generation.logprob is None:
        return text
    return text.model_copy(update={"ref_logprob": generation.logprob, "ref_tokens": generation.num_tokens})


def _candidates(answers: Sequence[Answer]) -> list[_Candidate]:
    candidates = []
    for answer in answers:
        verdict, second = answer.verdict, answer.revision_verdict
        if verdict is not None and verdict.score is not None:
            candidates.append(_Candidate(answer.generation, verdict.score, "own", verdict.rationale))
        if answer.revision is not None and second is not None and second.score is not None:
            origin: Origin = "expert" if second.critic == PERSON else "revision"
            candidates.append(_Candidate(answer.revision, second.score, origin, second.rationale))
    return candidates


def _critics_answer(answers: Sequence[Answer], accept: float) -> tuple[str, float] | None:
    """The critic's better answer with the critic's score of it, if that is at least `accept`."""
    worst_first = sorted(answers, key=lambda a: a.verdict.score if a.verdict and a.verdict.score is not None else 1.0)
    for answer in worst_first:
        verdict, again = answer.verdict, answer.better_verdict
        if verdict and verdict.better and again and again.score is not None and again.score >= accept:
            return verdict.better, again.score
    return None


def _demonstration(exchange: Exchange, chosen: Target, origin: Origin) -> Demonstration:
    return Demonstration(
        id=f"{exchange.id}/sft",
        origin=origin,
        kind=exchange.attack.seed.kind,
        prompt=exchange.attack.messages,
        completion=chosen,
        source=exchange.id,
    )


def _pair(exchange: Exchange, chosen: Target, rejected: Target, origin: Origin, reason: str) -> PreferencePair | None:
    if chosen.text.strip() == rejected.text.strip():
        return None
    return PreferencePair(
        id=f"{exchange.id}/dpo",
        origin=origin,
        kind=exchange.attack.seed.kind,
        prompt=exchange.attack.messages,
        chosen=chosen,
        rejected=rejected,
        source=exchange.id,
        reason=reason,
    )


def _dropped(exchange: Exchange, reason: str) -> Dropped:
    return Dropped(stage="pairing", record_id=exchange.id, reason=reason)
