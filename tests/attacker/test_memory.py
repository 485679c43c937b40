from __future__ import annotations

import asyncio
import random

from superalign.attacker.attacker import by_success, by_weight
from superalign.attacker.evolve import Archive
from superalign.attacker.history import FADE, Memory, State, Tried, remembered, tried
from superalign.records.base import Hazard
from superalign.records.exchange import Answer, Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Message, Rollout, Seed


def exchange(seed: str, score: float | None, *, step: int = 0, strategy: str = "direct", position: int = 0) -> Exchange:
    rollout = rollout_of(seed, position)
    messages = (Message(role="user", content=f"{strategy} {seed} {step}"),)
    attack = Attack(
        id=rollout.attack_id(step), seed=rollout.seed, strategy=strategy, strategy_sha256="0", messages=messages
    )
    verdict = Verdict(critic="toy", request_harmful=1.0, refusal="none", harm=None, score=score)
    answer = Answer(generation=Generation(text="x", num_tokens=1), verdict=verdict)
    return Exchange(id=attack.id, round=1, attack=attack, answers=(answer,))


def rollout_of(seed: str, position: int = 0) -> Rollout:
    return Rollout(round=1, seed=Seed(id=seed, goal="g", intent="harmful", hazard="hate"), index=0, position=position)


def memory_of(
    name: str, *, success: bool, hazard: Hazard = "hate", strategy: str = "a", turns: int = 1, weight: float = 1.0
) -> Tried:
    return Tried(
        id=name, seed_id=name, cell=("harmful", hazard), strategy=strategy, text=name, turns=turns,
        objective=float(success), success=success, queries=1, weight=weight,
    )  # fmt: skip


def test_a_rollout_is_remembered_by_its_best_attack_and_by_what_it_cost() -> None:
    one = tried([exchange("s", 0.9), exchange("s", 0.2, step=1), exchange("s", None, step=2)])
    assert one is not None
    assert (one.id, one.objective, one.success, one.queries) == ("r001/s/0.1", 0.8, True, 3)
    assert tried([]) is None


async def test_a_rollout_sees_what_all_generations_but_the_last_came_to_and_nothing_else() -> None:
    memory, seen = Memory(State(), generation=2), {}

    async def play(position: int) -> None:
        rollout = rollout_of(f"s{position}", position)
        seen[position] = [t.seed_id for t in (await memory.before(rollout)).tried]
        await asyncio.sleep(random.random() * 0.01)
        memory.over(rollout, [exchange(f"s{position}", 0.0, position=position)])

    async with asyncio.TaskGroup() as rollouts:
        for position in range(8):
            rollouts.create_task(play(position))
    assert seen[3] == [], "the first two generations know nothing"
    assert seen[4] == seen[5] == ["s0", "s1"]
    assert seen[7] == ["s0", "s1", "s2", "s3"]


async def test_dropped_rollouts_do_not_hold_the_others_up() -> None:
    memory = Memory(State(), generation=1)
    memory.over(rollout_of("s0", 0), [])
    state = await asyncio.wait_for(memory.before(rollout_of("s2", 2)), 1)
    assert state.tried == ()


def test_earlier_rounds_count_less() -> None:
    state = remembered([(1, lambda: [exchange("a", 0.0)]), (2, lambda: [exchange("b", 0.0)])], now=3)
    assert [t.weight for t in state.tried] == [FADE**2, FADE]
    assert state.records["harmful", "hate"]["direct"].won == FADE + FADE**2


def test_thompson_sampling_turns_to_what_breaks_the_learner_there() -> None:
    state = State(
        tuple(memory_of(f"a{n}", success=n % 10 == 0, strategy="a") for n in range(40))
        + tuple(memory_of(f"b{n}", success=n % 10 != 0, strategy="b") for n in range(40))
        + tuple(memory_of(f"c{n}", success=n % 10 != 0, strategy="a", hazard="privacy") for n in range(40))
    )
    dice = random.Random(1)
    hate = [by_success(["a", "b"], state, ("harmful", "hate"), dice) for _ in range(200)]
    privacy = [by_success(["a", "b"], state, ("harmful", "privacy"), dice) for _ in range(200)]
    assert hate.count("b") > 190
    assert privacy.count("a") > 40, "a hazard's own record outweighs the others'"
    fresh = [by_success(["a", "b"], State(), ("harmful", "hate"), dice) for _ in range(400)]
    assert 140 < fresh.count("a") < 260, "nothing known, nothing preferred"


def test_weights_without_repeats() -> None:
    drawn = [by_weight(["a", "b", "c"], {"a": 9.0, "b": 1.0, "c": 1.0}, random.Random(5), index) for index in range(3)]
    assert sorted(drawn) == ["a", "b", "c"]


def test_the_archive_keeps_the_best_of_each_cell() -> None:
    styles = {"a": "plain", "b": "story"}
    archive = Archive(
        [
            memory_of("lost", success=False),
            memory_of("won", success=True),
            memory_of("old", success=True, weight=0.5),
            memory_of("story", success=True, strategy="a+b"),
            memory_of("talk", success=True, turns=9),
            memory_of("other", success=True, hazard="privacy"),
        ],
        styles.__getitem__,
        ["plain", "story"],
    )
    assert sorted(t.id for t in archive.elites()) == ["other", "story", "talk", "won"]
    assert archive.qd_score == 4.0
    assert archive.coverage == 4 / (13 * 2 * 4)
    near = [archive.parent("privacy", random.Random(n), near=1.0) for n in range(9)]
    assert {t.id for t in near if t} == {"other"}
    assert Archive([], styles.__getitem__, ["plain"]).parent("hate", random.Random(0)) is None
