"""`benchmarks values` and `effort`: one recipe, several arms, on the scripted pool and the toy trainer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.effort import ARMS, EffortBench
from benchmarks.values import ValuesBench
from tests.loop.toys import PLAN, play


def bench(folder: Path, name: str, **settings: object) -> str:
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    sitting = play(folder, "benchmarks", name, "--json", *words)
    assert sitting.code == 0, sitting.said
    return sitting.said.splitlines()[-1]


def test_strategies_share_the_rounds_before_the_switch_and_part_at_it(tmp_path: Path) -> None:
    arms = ["naive", "replay", "control"]
    found = ValuesBench.model_validate_json(
        bench(tmp_path, "values", recipe=str(PLAN / "values.yaml"), arms=arms, out=str(tmp_path / "kept"))
    )
    assert [arm.arm for arm in found.arms] == arms
    naive, replay, control = (arm.rounds for arm in found.arms)
    assert naive[:2] == replay[:2] == control[:2]
    assert [r.version for r in control] == ["1", "1", "2", "1"], "judged by the schedule, though never taught by it"
    assert replay[2].replay is not None
    assert replay[2].replay.flipped == 2
    assert naive[2].replay is None
    assert replay[2].rows > naive[2].rows


def test_schedules_share_out_the_examples_of_each_round(tmp_path: Path) -> None:
    found = EffortBench.model_validate_json(
        bench(tmp_path, "effort", recipe=str(PLAN / "recipe.yaml"), arms=list(ARMS), rounds=2)
    )
    arms = {arm.arm: arm for arm in found.arms}
    assert list(arms) == list(ARMS)
    control, turns = arms["as_they_come"], arms["alternating"]
    assert control.conformity_change is None
    assert len({arm.rounds[0] for arm in found.arms}) == 1, "all begin at the same base"
    assert control.rounds[1].conformity > 0 < control.rounds[1].competence
    assert (turns.rounds[1].competence, turns.rounds[2].conformity) == (0, 0)
    assert turns.conformity_change is not None
    assert turns.conformity_change.low <= 0 <= turns.conformity_change.high, "four prompts prove nothing"
    assert arms["half"].rounds[1].conformity == arms["half"].rounds[1].competence
    shares = arms["gap_annealing"].rounds[1]
    assert shares.conformity > shares.competence, "the base complies with more than it refuses"


@pytest.mark.parametrize(
    ("name", "settings", "said"),
    [
        (
            "effort",
            {"arms": ["alternatin"]},
            "--set arms: alternatin is no arm of this bench; did you mean alternating?",
        ),
        (
            "values",
            {"arms": ["later"]},
            "--set arms: later is no arm of this bench; known: control, naive, replay, scratch",
        ),
        ("values", {"recipe": str(PLAN / "recipe.yaml")}, "values are missing; name held-out requests"),
        (
            "effort",
            {"recipe": "values.yaml"},
            "there is nothing to tell both gaps by; name a harmful suite",
        ),
        ("effort", {"recipe": "nowhere.yaml"}, "nowhere.yaml: No such file"),
        ("effort", {"rounds": 0}, "rounds: must be greater than"),
        ("effort", {"arms": []}, "--set arms=[]: none, or one of them twice; known: "),
        ("effort", {"arms": ["half", "half"]}, "one of them twice"),
        ("effort", {"arms": "half"}, '--set arms="half": '),
        ("effort", {"arms": [1]}, "--set arms=[1]: 0: Input should be a valid string"),
        ("review", {"labels": "many"}, '--set labels="many": Input should be a valid integer'),
        ("review", {"rounds": 0, "pool": {"type": "scripted"}}, "these settings make no recipe: rounds: "),
    ],
)
def test_what_a_bench_cannot_play_is_said_before_it_begins(
    tmp_path: Path, name: str, settings: dict[str, object], said: str
) -> None:
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    sitting = play(tmp_path, "benchmarks", name, *words)
    assert sitting.code == 1, sitting.said
    assert said in sitting.said
    assert "Traceback" not in sitting.said


def test_a_setting_that_is_no_yaml_is_said(tmp_path: Path) -> None:
    sitting = play(tmp_path, "benchmarks", "effort", "--set", "pool={")
    assert (sitting.code, "Traceback" in sitting.said) == (1, False)
    assert "--set pool={: no YAML: " in sitting.said
