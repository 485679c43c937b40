"""One walk: seed -> attack -> answers -> verdicts -> revision, as one coroutine.

Hundreds of walks run at once and none waits for another; the engine mixes their requests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from superalign.protocols import Attacker, Critic, DropError, Learner
from superalign.records import Answer, Attack, Critique, Dropped, Exchange, Generation, Response, Seed, Verdict


@dataclass(frozen=True)
class Cast:
    """Who acts in a round."""

    attacker: Attacker
    learner: Learner
    critic: Critic
    num_answers: int
    """Answers sampled for each attack."""
    revise_below: float
    """The worst answer is revised when its score is below this; 0: never."""


def attack_id(round: int, seed: Seed, index: int) -> str:
    """`r001/SEED/0`: where an attack stands in its run, whatever the order of completion."""
    return f"r{round:03d}/{seed.id}/{index}"


async def play(cast: Cast, round: int, seed: Seed, index: int) -> tuple[Exchange | None, list[Dropped]]:
    """Play one walk to its end; what could not go on is returned as `Dropped`, everything else propagates."""
    dropped: list[Dropped] = []
    try:
        attack = await cast.attacker.attack(seed, index)
    except DropError as error:
        return None, [Dropped(stage="attack", record_id=attack_id(round, seed, index), reason=str(error))]
    responses = await cast.learner.respond(attack, cast.num_answers)
    critiques = await asyncio.gather(*(_critique(cast.critic, response, dropped) for response in responses))
    revised = await _revise_worst(cast, [c for c in critiques if c is not None], dropped)
    answers = []
    for response, critique in zip(responses, critiques, strict=True):
        revision, second = revised.get(response.index, (None, None))
        answers.append(
            Answer(
                generation=response.generation,
                verdict=critique.verdict if critique else None,
                revision=revision,
                revision_verdict=second,
            )
        )
    return Exchange(id=attack.id, round=round, attack=attack, answers=tuple(answers)), dropped


async def answer_once(cast: Cast, attack: Attack) -> tuple[Answer, list[Dropped]]:
    """One more answer to an attack, with its verdict."""
    dropped: list[Dropped] = []
    [response] = await cast.learner.respond(attack, 1)
    critique = await _critique(cast.critic, response, dropped)
    return Answer(generation=response.generation, verdict=critique.verdict if critique else None), dropped


async def _critique(critic: Critic, response: Response, dropped: list[Dropped]) -> Critique | None:
    try:
        return await critic.critique(response)
    except DropError as error:
        record_id = f"{response.attack.id}/{response.index}"
        dropped.append(Dropped(stage="critique", record_id=record_id, reason=str(error)))
        return None


async def _revise_worst(
    cast: Cast, critiques: Sequence[Critique], dropped: list[Dropped]
) -> dict[int, tuple[Generation, Verdict | None]]:
    """The worst answer's revision with the critic's verdict of it, by the answer's index."""
    scored = [c for c in critiques if c.verdict.score is not None and c.verdict.score < cast.revise_below]
    if not scored:
        return {}
    worst = min(scored, key=lambda c: (c.verdict.score or 0.0, c.response.index))
    try:
        revision = await cast.learner.revise(worst)
    except DropError as error:
        record_id = f"{worst.response.attack.id}/{worst.response.index}"
        dropped.append(Dropped(stage="revise", record_id=record_id, reason=str(error)))
        return {}
    again = Response(
        attack=worst.response.attack, index=worst.response.index + cast.num_answers, generation=revision.generation
    )
    second = await _critique(cast.critic, again, dropped)
    return {worst.response.index: (revision.generation, second.verdict if second else None)}
