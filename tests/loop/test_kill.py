"""SIGKILL wherever it hurts: `resume` ends with the bytes of a run that nothing interrupted, and repeats nothing."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from superalign.store.manifest import verify
from tests.loop.conftest import Whole
from tests.loop.toys import RECIPE, Fate, Sitting, contents, finished, resume, run


def goes_on(folder: Path, whole: Whole) -> Sitting:
    """Resume what was killed, and hold it against the uninterrupted run."""
    done = finished(folder / "run")
    sitting = resume(folder)
    assert sitting.code == 0, sitting.said
    assert done & set(sitting.asked()) == set()
    assert contents(folder / "run") == whole.bytes
    assert verify(folder / "run") == []
    return sitting


GENERATING = ["request 1", "request 5", "request 20", "request 45", "request 53", "request 77", "request 110"]
WRITING_A_LINE = ["line 3", "line 17", "line 25", "line 42", "line 80"]
BETWEEN_STEPS = [
    "before rounds/000/evaluation.json",
    "after rounds/000/evaluation.json",
    "after rounds/000/checkpoint.json",
    "after CURRENT",
    "before rounds/000/DONE",
    "after rounds/000/DONE",
    "before rounds/001/exchanges.jsonl",
    "before rounds/001/demonstrations.jsonl",
    "after rounds/001/demonstrations.jsonl",
    "before rounds/001/training",
    "after rounds/001/training",
    "before rounds/001/adapter",
    "after rounds/001/adapter",
    "before rounds/001/training.json",
    "after rounds/001/checkpoint.json",
    "after rounds/001/evaluation.json",
    "before rounds/001/promotion.json",
    "after rounds/001/promotion.json",
    "after CURRENT 2",
    "after manifest.json 3",
    "after rounds/001/DONE",
    "before rounds/002/demonstrations.jsonl",
    "after rounds/002/promotion.json",
    "after CURRENT 3",
]


@pytest.mark.parametrize("at", GENERATING + WRITING_A_LINE + BETWEEN_STEPS)
def test_killed_it_goes_on_to_the_same_bytes(whole: Whole, tmp_path: Path, at: str) -> None:
    assert run(tmp_path, Fate(at, jitter=3)).killed
    torn = [path for path in tmp_path.rglob("*.jsonl") if path.stat().st_size and path.read_bytes()[-1:] != b"\n"]
    assert bool(torn) == (at in WRITING_A_LINE)
    goes_on(tmp_path, whole)


@pytest.mark.parametrize("child", ["kill-parent-at-step 001", "kill-parent-before-done 001", "kill-parent-at-step 003"])
def test_killed_in_training_it_trains_that_round_again_and_no_other(whole: Whole, tmp_path: Path, child: str) -> None:
    assert run(tmp_path, Fate(child=child)).killed
    time.sleep(0.05)  # the child looks for its parent every few milliseconds
    number = int(child[-3:])
    trained = [line for line in goes_on(tmp_path, whole).asked() if line.startswith("train")]
    assert trained == [f"train {n:03d}" for n in range(number, 4)]


def test_killed_while_the_base_model_is_asked(whole: Whole, tmp_path: Path) -> None:
    first = next(number for number, line in enumerate(whole.asked, 1) if line.startswith("anchor"))
    assert run(tmp_path, Fate(f"request {first + 1}", jitter=3)).killed
    assert (tmp_path / "run/rounds/002/anchors.jsonl").exists()
    goes_on(tmp_path, whole)


def test_killed_before_the_folder_is_whole_it_begins_again(whole: Whole, tmp_path: Path) -> None:
    assert run(tmp_path, Fate("before manifest.json")).killed
    assert "its creation was cut short before anything ran; `superalign run RECIPE --out DIR`" in resume(tmp_path).said
    assert run(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


def test_killed_again_and_again_it_ends(whole: Whole, tmp_path: Path) -> None:
    run(tmp_path, Fate("change 20"))
    sittings = 1
    while (sitting := resume(tmp_path, fate=Fate("change 25", jitter=sittings))).killed:
        sittings += 1
    assert sitting.code == 0, sitting.said
    assert sittings > 4
    assert contents(tmp_path / "run") == whole.bytes
    assert verify(tmp_path / "run") == []


def test_killed_before_it_noted_where_the_recipe_is_it_asks(whole: Whole, tmp_path: Path) -> None:
    assert run(tmp_path, Fate("before origin.json")).killed
    assert "does not say where the recipe was; say it: `superalign resume" in resume(tmp_path).said
    assert resume(tmp_path, "--recipe", RECIPE).code == 0
    assert contents(tmp_path / "run") == whole.bytes


@pytest.mark.parametrize("dice", range(4))
def test_killed_at_any_time(whole: Whole, tmp_path: Path, dice: int) -> None:
    sitting = Sitting(tmp_path, "run", RECIPE, "--out", tmp_path / "run", fate=Fate(jitter=5))
    sitting.until(lambda: finished(tmp_path / "run"))
    time.sleep(random.Random(dice).uniform(0.0, 0.35))
    sitting.process.kill()
    sitting.end()
    time.sleep(0.05)
    goes_on(tmp_path, whole)
