"""A run whose attacker is trained, by the real command line: it attacks with what was promoted, and survives kills."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from benchmarks.attacker import AttackerBench
from superalign.config.recipe import Recipe
from superalign.gate.attacker import Probe
from superalign.records.evaluation import Promotion
from superalign.records.exchange import Exchange
from superalign.records.training import Checkpoint
from superalign.store.journal import read_records
from superalign.store.manifest import verify
from superalign.store.round_folder import RoundFolder, read_record
from tests.loop.conftest import Whole
from tests.loop.toys import PLAN, Fate, Sitting, contents, play, resume, run

RECIPE = PLAN / "trained.yaml"
PROBES = 2 * 3 * 4
"""Both sides, three held-out goals, four attacks on each."""


@pytest.fixture(scope="module")
def trained(_server: None, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("trained")
    sitting = run(folder, recipe=RECIPE)
    assert sitting.code == 0, sitting.said
    return Whole(folder / "run", contents(folder / "run"), sitting.asked())


def probing(asked: list[str]) -> list[str]:
    """The model that was asked, for each request of a probe: two for an attack, the attacker's and the learner's."""
    return [line.partition(":")[0] for line in asked if "Put it in other words" in line]


def drafts(run: Path, round: int) -> list[str]:
    found = read_records(RoundFolder(run, round).exchanges, Exchange)
    return [exchange.attack.draft.text for exchange in found if exchange.attack.draft is not None]


def test_the_next_round_is_attacked_by_the_promoted_attacker(trained: Whole) -> None:
    first, second = RoundFolder(trained.path, 1), RoundFolder(trained.path, 2)
    decision = read_record(first.attacker_promotion, Promotion)
    assert decision.promoted, decision.reason
    assert read_record(first.attacker_checkpoint, Checkpoint).adapter == "rounds/001/attacker/adapter"
    assert not all("urry" in text for text in drafts(trained.path, 1))
    assert all("urry" in text for text in drafts(trained.path, 2))
    kept = read_record(second.attacker_promotion, Promotion)
    assert kept.reason.startswith("kept attacker-001: success of valid attacks stayed from 100.0% to 100.0%")
    assert verify(trained.path) == []


def test_only_written_attacks_on_held_out_goals_are_probed_against_the_rounds_own_learner(trained: Whole) -> None:
    probes = list(read_records(RoundFolder(trained.path, 1).attacker_probe, Probe))
    assert {probe.exchange.attack.strategy for probe in probes if probe.exchange} == {"reworded"}
    played = {exchange.attack.seed.id for exchange in read_records(RoundFolder(trained.path, 1).exchanges, Exchange)}
    probed = {probe.exchange.attack.seed.id for probe in probes if probe.exchange}
    assert probed < played
    shown = (trained.path / "rounds/001/attacker_demonstrations.jsonl").read_text()
    assert shown
    assert not any(f"/{seed}/" in shown for seed in probed)
    assert set(probing(trained.asked)) == {"base", "attacker-001", "attacker-002"}


KILLS = [
    "before rounds/001/attacker_demonstrations.jsonl",
    "after rounds/001/attacker_demonstrations.jsonl",
    "after rounds/001/attacker_pairs.jsonl",
    "before rounds/001/attacker/training",
    "after rounds/001/attacker/adapter",
    "before rounds/001/attacker_checkpoint.json",
    "after rounds/001/attacker_checkpoint.json",
    "before rounds/001/attacker_promotion.json",
    "after rounds/001/attacker_promotion.json",
    "after rounds/001/promotion.json",
    "before rounds/002/attacker_promotion.json",
]


def goes_on(folder: Path, trained: Whole) -> Sitting:
    sitting = resume(folder)
    assert sitting.code == 0, sitting.said
    assert contents(folder / "run") == trained.bytes
    assert verify(folder / "run") == []
    return sitting


@pytest.mark.parametrize("at", KILLS)
def test_killed_between_its_steps_it_goes_on_to_the_same_bytes(trained: Whole, tmp_path: Path, at: str) -> None:
    first = run(tmp_path, Fate(at, jitter=3), recipe=RECIPE)
    assert first.killed
    second = goes_on(tmp_path, trained)
    assert (first.asked() + second.asked()).count("train attacker") == 2
    assert len(first.asked() + second.asked()) == len(trained.asked)


def test_killed_while_it_is_probed_it_asks_for_the_rest_only(trained: Whole, tmp_path: Path) -> None:
    requests = [line for line in trained.asked if not line.startswith("train")]
    first_probe = next(number for number, line in enumerate(requests, 1) if line.startswith("attacker-001"))
    assert run(tmp_path, Fate(f"request {first_probe + 9}", jitter=3), recipe=RECIPE).killed
    done = len(list(read_records(tmp_path / "run/rounds/001/attacker_probe.jsonl", Probe)))
    assert 0 < done < PROBES
    asked = goes_on(tmp_path, trained).asked()
    assert len(probing(asked)) == len(probing(trained.asked)) - 2 * done


def test_attacker_training_that_fails_costs_the_run_nothing(tmp_path: Path, trained: Whole) -> None:
    sitting = run(tmp_path, Fate(child="fail attacker"), recipe=RECIPE)
    assert sitting.code == 0, sitting.said
    assert "the loss is no number" in read_record(RoundFolder(tmp_path / "run", 1).attacker_promotion, Promotion).reason
    assert not all("urry" in text for text in drafts(tmp_path / "run", 2))


def test_the_bench_tells_what_training_was_worth(tmp_path: Path) -> None:
    for name in ("seeds", "strategies"):
        shutil.copytree(PLAN / name, tmp_path / name)
    rules = yaml.safe_load(RECIPE.read_text())["pool"]["rules"]
    settings = {
        "model": "scripted",
        "files": ["seeds/wicked.yaml"],
        "strategies": ["reworded"],
        "holdout": 0.6,
        "likeness": "words",
        "drafts": 8,
        "seeds": 2,
        "out": str(tmp_path / "kept"),
        "training": {"method": "sft"},
        "critic": {"type": "rules"},
        "pool": {"type": "scripted", "rules": rules},
    }
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    sitting = play(tmp_path, "benchmarks", "attacker", "--json", *words)
    assert sitting.code == 0, sitting.said
    found = AttackerBench.model_validate_json(sitting.said.splitlines()[-1])
    assert (found.training_goals, found.held_out_goals) == (1, 3)
    assert [repeat.seed for repeat in found.repeats] == [0, 1]
    gains = []
    for repeat in found.repeats:
        assert repeat.demonstrations
        assert repeat.before is not None
        assert repeat.after is not None
        assert repeat.before.success is not None
        assert repeat.after.success == 1.0
        gains.append(1.0 - repeat.before.success)
    assert found.gain == pytest.approx(sum(gains) / 2)
    assert found.gain > 0.2
    assert found.self_bleu_low <= found.self_bleu_rise <= found.self_bleu_high
    again = play(tmp_path, "benchmarks", "attacker", "--json", *words)  # goes on where it was: nothing is left to do
    assert AttackerBench.model_validate_json(again.said.splitlines()[-1]).gain == found.gain
    assert sitting.asked()
    assert not again.asked()
    other = play(tmp_path, "benchmarks", "attacker", "--json", *words, "--set", "goals=3")
    assert other.code == 1
    assert "was begun with another recipe" in other.said


def test_without_a_written_strategy_there_is_nothing_to_train(tmp_path: Path) -> None:
    sitting = play(tmp_path, "run", RECIPE, "--dry-run", "--set", "attacker.mix={straight: 1}")
    assert sitting.code == 1
    assert "no strategy of attacker.mix is written by a model, so there is nothing to train" in sitting.said


def test_the_engine_must_take_the_attackers_adapter_too() -> None:
    recipe = yaml.safe_load(RECIPE.read_text()) | {"pool": {"type": "vllm", "max_lora_rank": 16}}
    large = {"attacker_training": {"lora": {"rank": 32}}}
    with pytest.raises(ValidationError, match="rank 32 is over pool.max_lora_rank 16"):
        Recipe.model_validate(recipe | large)
    untrained = {"attacker": {name: value for name, value in recipe["attacker"].items() if name != "training"}}
    Recipe.model_validate(recipe | large | untrained)
