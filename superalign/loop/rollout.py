"""One rollout: seed -> attack -> answers -> verdicts -> revision, perhaps several times over, as one coroutine; and all
rollouts of a round.

Hundreds of rollouts run at once and none waits for another; the engine mixes their requests.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from superalign.loop.round_log import RoundLog
from superalign.protocols import Attacker, Comparer, Critic, DropError, Learner
from superalign.records.base import KINDS, Kind
from superalign.records.exchange import Answer, Comparison, Critique, Dropped, Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Response, Rollout, Seed, rollout_of
from superalign.seeding import derive_seed
from superalign.store.journal import Journal
from superalign.store.round_folder import RoundFolder


@dataclass(frozen=True)
class Roles:
    """Who acts in a round."""

    attacker: Attacker
    learner: Learner
    critic: Critic
    num_answers: int
    """Answers sampled for each attack."""
    revise_below: float
    """The worst answer is revised when its score is below this; 0: never."""
    comparer: Comparer | None = None
    """Who holds the best answer against the worst; None: the scores are taken as they are."""


async def play_round(
    roles: Roles, rollouts: Sequence[Rollout], round_folder: RoundFolder, log: RoundLog, at_once: int
) -> None:
    """Play every rollout that is not over yet into `exchanges.jsonl` and `dropped.jsonl`, `at_once` at a time."""
    with Journal(round_folder.exchanges, Exchange) as exchanges, Journal(round_folder.dropped, Dropped) as dropped:
        history = _by_rollout(exchanges)
        ended = {rollout_of(loss.record_id) for loss in dropped if loss.stage == "attack"}
        begun = {rollout.id for rollout in rollouts if rollout.id in history or rollout.id in ended}

        async def play_on(rollout: Rollout) -> None:
            async for record in play(roles, rollout, history.pop(rollout.id, ()), rollout.id in ended):
                if isinstance(record, Exchange):
                    exchanges.append(record)
                else:
                    dropped.append(record)
            log.observer.advance(0 if rollout.id in begun else 1)

        await log.work_off(rollouts, play_on, at_once, ("attack", len(rollouts), len(begun)))


async def play(
    roles: Roles, rollout: Rollout, history: Sequence[Exchange], ended: bool
) -> AsyncIterator[Exchange | Dropped]:
    """Play one rollout to its end, an exchange for every attack; what can't go on is yielded as `Dropped`.

    history: the exchanges it had before an interruption; ended: its last attack was dropped then.
    """
    played = list(history)
    while not ended:
        try:
            attack = await roles.attacker.attack(rollout, played)
        except DropError as error:
            yield Dropped(stage="attack", record_id=rollout.attack_id(len(played)), reason=str(error))
            break
        if attack is None:
            break
        exchange, dropped = await _exchange(roles, rollout.round, attack)
        for loss in dropped:
            yield loss
        yield exchange
        played.append(exchange)
    roles.attacker.over(rollout, played)


async def _exchange(roles: Roles, round: int, attack: Attack) -> tuple[Exchange, list[Dropped]]:
    dropped: list[Dropped] = []
    if attack.setup:
        [response] = await roles.learner.respond(attack, 1)
        return Exchange(id=attack.id, round=round, attack=attack, answers=(Answer(generation=response.generation),)), []
    responses = await roles.learner.respond(attack, roles.num_answers)
    critiques = await asyncio.gather(*(_critique(roles.critic, response, dropped) for response in responses))
    judged = [critique for critique in critiques if critique is not None]
    revised, better, comparison = await asyncio.gather(
        _revise_worst(roles, judged, dropped), _judge_better(roles, judged, dropped), _compare(roles, judged, dropped)
    )
    answers = []
    for response, critique in zip(responses, critiques, strict=True):
        revision, second = revised.get(response.index, (None, None))
        answers.append(
            Answer(
                generation=response.generation,
                verdict=critique.verdict if critique else None,
                revision=revision,
                revision_verdict=second,
                better_verdict=better.get(response.index),
            )
        )
    return Exchange(id=attack.id, round=round, attack=attack, answers=tuple(answers), comparison=comparison), dropped


async def answer_once(roles: Roles, attack: Attack) -> tuple[Answer, list[Dropped]]:
    """One more answer to an attack, with its verdict."""
    dropped: list[Dropped] = []
    [response] = await roles.learner.respond(attack, 1)
    critique = await _critique(roles.critic, response, dropped)
    return Answer(generation=response.generation, verdict=critique.verdict if critique else None), dropped


async def _critique(critic: Critic, response: Response, dropped: list[Dropped]) -> Critique | None:
    try:
        return await critic.critique(response)
    except DropError as error:
        record_id = f"{response.attack.id}/{response.index}"
        dropped.append(Dropped(stage="critique", record_id=record_id, reason=str(error)))
        return None


async def _revise_worst(
    roles: Roles, critiques: Sequence[Critique], dropped: list[Dropped]
) -> dict[int, tuple[Generation, Verdict | None]]:
    """The worst answer's revision with the critic's verdict of it, by the answer's index."""
    scored = [c for c in critiques if c.verdict.score is not None and c.verdict.score < roles.revise_below]
    if not scored:
        return {}
    worst = min(scored, key=lambda c: (c.verdict.score or 0.0, c.response.index))
    try:
        revision = await roles.learner.revise(worst)
    except DropError as error:
        record_id = f"{worst.response.attack.id}/{worst.response.index}"
        dropped.append(Dropped(stage="revise", record_id=record_id, reason=str(error)))
        return {}
    again = Response(
        attack=worst.response.attack, index=worst.response.index + roles.num_answers, generation=revision.generation
    )
    second = await _critique(roles.critic, again, dropped)
    return {worst.response.index: (revision.generation, second.verdict if second else None)}


async def _judge_better(
    roles: Roles, critiques: Sequence[Critique], dropped: list[Dropped]
) -> dict[int, Verdict | None]:
    """The critic's verdict of the better answer that it suggests for the worst one, by the worst one's index.

    It has seen the same text as the learner would be taught, and must find it good before anyone learns from it.
    """
    suggested = [c for c in critiques if c.verdict.better and c.verdict.score is not None]
    if not suggested:
        return {}
    worst = min(suggested, key=lambda c: (c.verdict.score or 0.0, c.response.index)).response
    text = next(c.verdict.better for c in suggested if c.response is worst) or ""
    again = Response(
        attack=worst.attack, index=worst.index + 2 * roles.num_answers, generation=Generation(text=text, num_tokens=0)
    )
    judged = await _critique(roles.critic, again, dropped)
    return {worst.index: judged.verdict if judged else None}


async def _compare(roles: Roles, critiques: Sequence[Critique], dropped: list[Dropped]) -> Comparison | None:
    """Whether the best answer is better than the worst when both are read at once."""
    scored = sorted((c for c in critiques if c.verdict.score is not None), key=lambda c: -(c.verdict.score or 0.0))
    if roles.comparer is None or len(scored) < 2:
        return None
    best, worst = scored[0].response, scored[-1].response
    try:
        confirmed = await roles.comparer.compare(best, worst)
    except DropError as error:
        record_id = f"{best.attack.id}/{best.index}"
        dropped.append(Dropped(stage="critique", record_id=record_id, reason=f"not compared: {error}"))
        return None
    return Comparison(better=best.index, worse=worst.index, confirmed=confirmed)


def _by_rollout(exchanges: Iterable[Exchange]) -> dict[str, list[Exchange]]:
    """The exchanges of every rollout that has begun, in the order in which they were had."""
    found: dict[str, list[Exchange]] = {}
    for exchange in exchanges:
        found.setdefault(rollout_of(exchange.id), []).append(exchange)
    return found


def schedule(
    seeds: Sequence[Seed],
    per_round: Mapping[Kind, int],
    run_seed: int,
    round: int,
    kept_out: Collection[str] = frozenset(),
) -> list[Rollout]:
    """The rollouts of a round: each kind goes round its seeds in a fixed random order, so that rounds take different
    seeds while they last; and one rollout on each seed that is kept out of training.
    """
    rollouts: list[Rollout] = []
    for kind in KINDS:
        own = [seed for seed in seeds if seed.kind == kind and seed.id not in kept_out]
        random.Random(derive_seed(run_seed, "seeds", kind)).shuffle(own)
        count = per_round.get(kind, len(own))
        if own:
            start = (round - 1) * count
            for i in range(count):
                seed = own[(start + i) % len(own)]
                rollouts.append(Rollout(round=round, seed=seed, index=i // len(own), position=len(rollouts)))
    for seed in seeds:
        if seed.id in kept_out:
            rollouts.append(Rollout(round=round, seed=seed, index=0, position=len(rollouts)))
    return rollouts
