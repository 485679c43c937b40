"""CommitteeCritic: several critics judge; their votes are weighed and their disagreement is recorded."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from superalign.protocols import Critic, DropError
from superalign.records.base import Hazard, Rate
from superalign.records.exchange import Critique, PrincipleScore, Refusal, Verdict, Vote
from superalign.records.rollout import Response

Weigh = Callable[[int, Hazard | None], float]
"""(index of the member, the exchange's hazard) -> weight of its vote."""
_MOST_RELIABLE = 0.99  # keeps weights finite


class CommitteeCritic:
    """Members judge concurrently; one without a verdict abstains."""

    name = "committee"

    def __init__(self, members: Sequence[Critic], weigh: Weigh) -> None:
        self.members, self.weigh = members, weigh

    async def critique(self, response: Response) -> Critique:
        """The weighted verdict; raises DropError if no member with a weight has one."""
        hazard = response.attack.seed.hazard
        results = await asyncio.gather(*(_asked(member, response) for member in self.members))
        judged = [
            (verdict, weight)
            for place, verdict in enumerate(results)
            if isinstance(verdict, Verdict) and (weight := self.weigh(place, hazard)) > 0
        ]
        if not judged:
            reasons = "; ".join(str(result) for result in results if not isinstance(result, Verdict))
            raise DropError(f"no member of the committee has a verdict: {reasons or 'those who have weigh nothing'}")
        return Critique(response=response, verdict=decided(judged))


def decided(judged: Sequence[tuple[Verdict, float]]) -> Verdict:
    """The committee's verdict: weighted means of numbers, the heaviest refusal, the words of the heaviest who agrees.

    judged: at least one verdict, each with a weight over 0.
    """
    votes = [vote_of(verdict, weight) for verdict, weight in judged]
    score = _mean((verdict.score, weight) for verdict, weight in judged)
    heavy = sorted(judged, key=lambda vote: -vote[1])  # stable: the first of equals
    agree = [verdict for verdict, _ in heavy if score is None or _same_side(verdict.score, score)]
    spokesman = agree[0] if agree else heavy[0][0]
    return Verdict(
        critic=CommitteeCritic.name,
        request_harmful=_mean((verdict.request_harmful, weight) for verdict, weight in judged),
        refusal=_heaviest((verdict.refusal, weight) for verdict, weight in judged),
        harm=_mean((verdict.harm, weight) for verdict, weight in judged),
        score=score,
        principle=next((v.principle for v in agree if v.principle), None),
        rationale=next((v.rationale for v in agree if v.rationale), spokesman.rationale),
        better=next((v.better for v in agree if v.better), None),
        principles=_principles(judged),
        votes=tuple(votes),
        disagreement=disagreement(votes),
    )


def vote_of(verdict: Verdict, weight: float = 1.0) -> Vote:
    """A verdict as a vote."""
    return Vote(
        critic=verdict.critic, weight=weight, request_harmful=verdict.request_harmful, refusal=verdict.refusal,
        harm=verdict.harm, score=verdict.score,
    )  # fmt: skip


def disagreement(votes: Sequence[Vote]) -> Rate | None:
    """Four times the weighted variance of the scores: 0 if all are equal, 1 if half say 0 and half 1."""
    scored = [(vote.score, vote.weight) for vote in votes if vote.score is not None and vote.weight > 0]
    if len(scored) < 2:
        return None
    total = sum(weight for _, weight in scored)
    mean = sum(score * weight for score, weight in scored) / total
    variance = sum(weight * (score - mean) ** 2 for score, weight in scored) / total
    return round(min(1.0, 4 * variance), 4)


def weight_of(reliability: Rate) -> float:
    """Log-odds of being right (Nitzan and Paroush 1982); 0 at or below chance."""
    p = min(reliability, _MOST_RELIABLE)
    return max(0.0, math.log(p / (1 - p))) if p > 0 else 0.0


async def _asked(member: Critic, response: Response) -> Verdict | DropError:
    try:
        return (await member.critique(response)).verdict
    except DropError as error:
        return error


def _mean(judged: Iterable[tuple[float | None, float]]) -> float | None:
    values = [(value, weight) for value, weight in judged if value is not None]
    total = sum(weight for _, weight in values)
    return min(1.0, round(sum(value * weight for value, weight in values) / total, 4)) if values else None


def _heaviest(judged: Iterable[tuple[Refusal | None, float]]) -> Refusal | None:
    weights: defaultdict[Refusal, float] = defaultdict(float)
    for refusal, weight in judged:
        if refusal is not None:
            weights[refusal] += weight
    return max(weights, key=weights.__getitem__, default=None)


def _principles(judged: Sequence[tuple[Verdict, float]]) -> tuple[PrincipleScore, ...]:
    votes: defaultdict[str, list[tuple[float | None, float]]] = defaultdict(list)
    for verdict, weight in judged:
        for principle in verdict.principles:
            votes[principle.id].append((principle.score, weight))
    return tuple(PrincipleScore(id=id, score=_mean(scores) or 0.0) for id, scores in votes.items())


def _same_side(score: float | None, of: float) -> bool:
    return score is not None and (score < 0.5) == (of < 0.5)
