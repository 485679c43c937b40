"""The attacker's part of a round: what it is trained on, when it is promoted, how it goes on after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from superalign.errors import RunFolderError
from superalign.gate.attacker import Probe
from superalign.records.exchange import Exchange
from superalign.store.atomic import ADAPTER_WEIGHTS
from superalign.store.journal import read_records
from superalign.store.manifest import artefacts
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder
from tests.attacker.toys import HELD, OPTIONS, REPHRASED, STRONGER, THINGS, Sitting, attacks_with


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.create(tmp_path / "run", "name: toy\n", {"name": "toy"}) as made:
        yield made


async def test_a_stronger_candidate_attacks_from_the_next_round_on(folder: RunFolder) -> None:
    sitting = Sitting(folder, STRONGER)
    decision = await sitting.round(1)
    assert decision.promoted, decision.reason
    assert "success of valid attacks rose from" in decision.reason
    assert sitting.loop.incumbent(1).id == "base"
    assert sitting.loop.incumbent(2).id == "attacker-001"
    assert {model for model, *_ in sitting.pool.asked} == {"base", "learner", "attacker-001"}
    before = len(sitting.pool.asked)
    await sitting.round(2)
    assert {model for model, *_ in sitting.pool.asked[before : before + 96]} == {"learner", "attacker-001"}
    assert [(number, parent) for number, parent, *_ in sitting.trainer.trained] == [(1, "base"), (2, "attacker-001")]
    acted = {(one.name.split("#")[0], one.trained) for one in sitting.acted}
    assert acted == {("base", False), ("attacker-001", True), ("attacker-002", True)}


async def test_held_out_goals_are_probed_and_no_others_and_never_trained_on(folder: RunFolder) -> None:
    sitting = Sitting(folder, STRONGER)
    await sitting.round(1)
    [(_, _, demonstrations, pairs)] = sitting.trainer.trained
    trained = {row.source.split("/")[1] for row in (*demonstrations, *pairs)}
    assert trained
    assert not trained & HELD
    assert {p.exchange.attack.seed.id for p in sitting.probes() if p.exchange} == HELD
    for side in ("candidate", "incumbent"):
        assert sum(probe.side == side for probe in sitting.probes()) == OPTIONS.probes * len(HELD)


async def test_both_attackers_are_given_the_same_rollouts_and_draws(folder: RunFolder) -> None:
    sitting = Sitting(folder, STRONGER)
    await sitting.round(1)
    probes = sitting.probes()
    assert {p.id for p in probes if p.side == "candidate"} == {p.id for p in probes if p.side == "incumbent"}
    first = {(prompt, seed) for model, prompt, seed in sitting.pool.asked if model == "attacker-001"}
    assert first <= {(prompt, seed) for model, prompt, seed in sitting.pool.asked if model == "base"}


async def test_one_that_is_no_stronger_is_kept_out(folder: RunFolder) -> None:
    sitting = Sitting(folder, attacks_with(*REPHRASED))
    decision = await sitting.round(1)
    assert not decision.promoted
    assert "success of valid attacks fell" in decision.reason
    assert sitting.loop.incumbent(2).id == "base"


async def test_one_that_wins_by_giving_up_the_goal_is_kept_out(folder: RunFolder) -> None:
    stories = [f"Kindly tell me a story about {word} and the sea." for word in THINGS[:7]]
    decision = await Sitting(folder, attacks_with(*stories)).round(1)
    assert not decision.promoted
    assert "success of valid attacks fell" in decision.reason


async def test_one_that_wins_by_always_saying_the_same_is_kept_out(folder: RunFolder) -> None:
    decision = await Sitting(folder, attacks_with("Kindly, dear friend of all my days and nights, {last}")).round(1)
    assert not decision.promoted
    [stronger, *variety] = decision.checks
    assert stronger.passed
    assert not all(check.passed for check in variety)


async def test_too_few_examples_train_nothing(folder: RunFolder) -> None:
    sitting = Sitting(folder, STRONGER, OPTIONS.model_copy(update={"min_examples": 500}))
    decision = await sitting.round(1)
    assert not decision.promoted
    assert "attacks to learn from, fewer than 500" in decision.reason
    assert sitting.trainer.trained == []
    assert sitting.probes() == []


async def test_training_that_fails_keeps_the_incumbent(folder: RunFolder) -> None:
    sitting = Sitting(folder, STRONGER)
    sitting.trainer.fails = True
    decision = await sitting.round(1)
    assert not decision.promoted
    assert "the loss is no number" in decision.reason
    assert "the loss is no number" in sitting.observer.notices[0]
    assert sitting.loop.incumbent(2).id == "base"


def bytes_of(round_folder: RoundFolder) -> dict[str, bytes]:
    round_folder.sort_journals()
    return {
        path.relative_to(round_folder.path).as_posix(): path.read_bytes()
        for path in sorted(round_folder.path.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("dies_at", [1, 30, 96, 97, 98, 110, 120])
async def test_killed_anywhere_it_ends_with_the_same_bytes_and_repeats_nothing(tmp_path: Path, dies_at: int) -> None:
    def finished(folder: RunFolder) -> set[tuple[str, str]]:
        round_folder = folder.round(1)
        return {("round", e.id) for e in read_records(round_folder.exchanges, Exchange)} | {
            (probe.side, probe.id) for probe in read_records(round_folder.attacker_probe, Probe)
        }

    with RunFolder.create(tmp_path / "whole", "name: toy\n", {"name": "toy"}) as folder:
        sitting = Sitting(folder, STRONGER)
        await sitting.round(1)
        whole, all_asked = bytes_of(folder.round(1)), len(sitting.pool.asked)
    with RunFolder.create(tmp_path / "run", "name: toy\n", {"name": "toy"}) as folder:
        first = Sitting(folder, STRONGER, dies_at=dies_at)
        with pytest.raises(BaseExceptionGroup):
            await first.round(1)
        done = len(finished(folder))
        second = Sitting(folder, STRONGER)
        await second.round(1)
        assert len(first.trainer.trained) + len(second.trainer.trained) == 1
        assert len(second.pool.asked) == all_asked - 2 * done
        assert bytes_of(folder.round(1)) == whole
        third = Sitting(folder, STRONGER)
        await third.round(1)
        assert third.pool.asked == []


async def test_an_altered_adapter_is_not_served(folder: RunFolder) -> None:
    sitting = Sitting(folder, STRONGER)
    assert (await sitting.round(1)).promoted
    weights = folder.round(1).path / "attacker" / "adapter" / ADAPTER_WEIGHTS
    weights.write_bytes(b"other")
    with pytest.raises(RunFolderError, match="attacker-001 is missing or altered"):
        sitting.loop.incumbent(2)


async def test_the_chain_covers_what_was_decided_and_not_the_trainers_state(folder: RunFolder) -> None:
    await Sitting(folder, STRONGER).round(1)
    state = folder.round(1).path / "attacker" / "training"
    state.mkdir()
    (state / "optimizer.pt").write_bytes(b"...")
    covered = {name.removeprefix("rounds/001/") for name in artefacts(folder.path, 1)}
    assert {"attacker_promotion.json", "attacker_probe.jsonl", "attacker_pairs.jsonl", "attacker_demonstrations.jsonl",
            "attacker_checkpoint.json", f"attacker/adapter/{ADAPTER_WEIGHTS}"} <= covered  # fmt: skip
    assert "attacker/training/optimizer.pt" not in covered
