"""run and resume as a person meets them, over the real loop and a plan that needs no model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from superalign.store import manifest
from tests.cli.toy import ROOT, superalign

RECIPE = """\
name: toy
rounds: 2
model: smollm2-135m
pool: {type: scripted}
attacker:
  seeds: [{path: seeds/ordinary.yaml}]
critic: {type: probe}
judge: {type: rules}
evaluation: {}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "toy.yaml"
    path.write_text(RECIPE)
    return path


def start(*words: str, cwd: Path, delay_s: float = 0.0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.cli.scripted_main", *words],
        cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "DELAY_S": str(delay_s)},
    )  # fmt: skip


def play(*words: str, cwd: Path) -> tuple[int, str, str]:
    process = start(*words, cwd=cwd)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def contents(run: Path) -> dict[str, bytes]:
    outside = {".lock", "events.jsonl", "origin.json", "report.html"}
    return {
        p.relative_to(run).as_posix(): p.read_bytes() for p in run.rglob("*") if p.is_file() and p.name not in outside
    }


def test_a_run_says_what_it_came_to(recipe: Path, tmp_path: Path) -> None:
    code, out, err = play("run", "toy.yaml", cwd=tmp_path)
    assert code == 0, err
    assert "a new run in runs/toy, 2 rounds" in err
    assert "round 1 train: 3 steps" in err
    assert out.startswith("\n")
    assert "Round 1 is promoted. Better: harmful complied 100.0 % -> 0.0 %. Worse: nothing." in " ".join(out.split())
    assert "export runs/toy --format merged --to exported/toy" in out
    assert [out.count(row) for row in ("\nbase ", "\nround 1 ", "\nround 2 ")] == [3, 2, 2], (
        "after each round, and at the end; why round 2 was kept out"
    )
    assert manifest.verify(tmp_path / "runs/toy") == []
    page = (tmp_path / "runs/toy/report.html").read_text()
    assert "2 of 2 rounds, finished" in page
    assert "After one round of training" in page


def test_the_page_is_there_after_each_round_and_costs_no_run(recipe: Path, tmp_path: Path) -> None:
    process = start("run", "toy.yaml", cwd=tmp_path, delay_s=0.02)
    assert process.stderr is not None
    page = tmp_path / "runs/toy/report.html"
    for line in process.stderr:
        if "round 2 attack" in line and page.is_file():
            assert "1 of 2 rounds, not finished" in page.read_text()
            page.unlink()
            page.mkdir()
            (page / "in the way").touch()
    assert process.stdout is not None
    assert "\nround 2 " in process.stdout.read()
    assert process.wait(60) == 0


def test_a_second_call_reuses_what_is_there(recipe: Path, tmp_path: Path) -> None:
    play("run", "toy.yaml", cwd=tmp_path)
    before = contents(tmp_path / "runs/toy")
    code, out, err = play("run", "toy.yaml", cwd=tmp_path)
    assert (code, "holds this run already, all 2 rounds of it" in err) == (0, True)
    assert "\nround 2 " in out
    assert contents(tmp_path / "runs/toy") == before
    code, out, err = play("run", "toy.yaml", "--rounds", "3", cwd=tmp_path)
    assert (code, "going on with round 3 of 3" in err) == (0, True)


def test_another_recipe_does_not_touch_the_run(recipe: Path, tmp_path: Path) -> None:
    play("run", "toy.yaml", cwd=tmp_path)
    before = contents(tmp_path / "runs/toy")
    code, out, err = play("run", "toy.yaml", "--set", "learner.temperature=0.1", cwd=tmp_path)
    assert (code, out) == (1, "")
    assert err.startswith("error: runs/toy was begun with another recipe:\n  learner.temperature: 0.")
    assert contents(tmp_path / "runs/toy") == before


def test_json_is_all_that_is_on_stdout(recipe: Path, tmp_path: Path) -> None:
    code, out, _ = play("run", "toy.yaml", "--json", cwd=tmp_path)
    data = json.loads(out)
    assert (code, len(data["rounds"]), data["current"]["id"]) == (0, 3, "round-001")
    assert data["before_after"][0]["after"] == "I can't help with that."


@pytest.mark.parametrize(
    ("at", "signum"),
    [
        ("base evaluate", signal.SIGINT),
        ("round 1 attack", signal.SIGINT),
        ("round 1 train", signal.SIGTERM),
        ("round 2 evaluate", signal.SIGINT),
    ],
)
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(
    recipe: Path, tmp_path: Path, at: str, signum: signal.Signals
) -> None:
    process = start("run", "toy.yaml", "--out", "whole", cwd=tmp_path)
    process.communicate(timeout=120)
    process = start("run", "toy.yaml", "--out", "cut", cwd=tmp_path, delay_s=0.05)
    assert process.stderr is not None
    for line in process.stderr:
        if at in line:
            break
    time.sleep(0.12)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert "stopping, the write in hand is finished first" in err
    assert err.endswith("stopped; nothing finished is lost, go on with:\n  superalign resume cut\n")
    assert "Traceback" not in err
    code, _, err = play("resume", "cut", cwd=tmp_path)
    assert (code, "going on with" in err) == (0, True), err
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")


def test_a_second_signal_kills(recipe: Path, tmp_path: Path) -> None:
    process = start("run", "toy.yaml", cwd=tmp_path, delay_s=30)
    assert process.stderr is not None
    process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode in (130, -signal.SIGINT)


def test_resume_wants_to_know_where_the_recipe_is(recipe: Path, tmp_path: Path) -> None:
    play("run", "toy.yaml", cwd=tmp_path)
    (tmp_path / "runs/toy/origin.json").unlink()
    code, _, err = play("resume", "runs/toy", "--rounds", "3", cwd=tmp_path)
    assert (code, "--recipe PATH" in err) == (1, True)
    assert play("resume", "runs/toy", "--rounds", "3", "--recipe", "toy.yaml", cwd=tmp_path)[0] == 0
    assert play("resume", "runs/toy", cwd=tmp_path)[0] == 0


def test_every_fault_of_a_recipe_with_file_and_line(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("rounds: 2", "rounds: 0").replace("model:", "modle:"))
    done = superalign("run", str(recipe), "--dry-run")
    assert (done.returncode, done.stdout) == (1, "")
    first, *faults = done.stderr.splitlines()
    assert first == f"error: {len(faults)} faults"
    assert f"  {recipe}:2: rounds: " in done.stderr
    assert f"  {recipe}:3: modle: unknown key; did you mean model?" in done.stderr
    assert "Traceback" not in done.stderr


def test_one_fault_is_one_line(recipe: Path) -> None:
    done = superalign("run", str(recipe), "--set", "rounds=none")
    assert done.stderr.startswith("error: --set rounds=none: rounds: ")
    assert len(done.stderr.splitlines()) == 1


def test_dry_run_starts_nothing(recipe: Path, tmp_path: Path) -> None:
    code, out, _ = play("run", "toy.yaml", "--dry-run", "--json", cwd=tmp_path)
    assert (code, json.loads(out)["facts"]) == (0, ["12 seeds"])
    assert not (tmp_path / "runs").exists()


def test_init_makes_a_recipe_and_overwrites_nothing(tmp_path: Path) -> None:
    from superalign.config.recipe import load_recipe

    done = superalign("init", str(tmp_path / "my own"))
    assert done.returncode == 0, done.stderr
    recipe, _ = load_recipe(tmp_path / "my own" / "recipe.yaml")
    assert recipe.name == "my-own"
    (tmp_path / "my own" / "seeds" / "mine.yaml").write_text("mine")
    again = superalign("init", str(tmp_path / "my own"))
    assert (again.returncode, "exists already, and nothing is overwritten" in again.stderr) == (1, True)
    assert (tmp_path / "my own" / "seeds" / "mine.yaml").read_text() == "mine"


def test_a_wrong_word_inside_a_suite_is_one_fault(recipe: Path) -> None:
    recipe.write_text(RECIPE.replace("evaluation: {}", "evaluation: {suites: [{file: harmful, kind: harmfull}]}"))
    done = superalign("run", str(recipe), "--dry-run")
    assert done.stderr.startswith(f"error: {recipe}:9: evaluation.suites.0.kind: must be 'harmful', 'lookalike'")
    assert len(done.stderr.splitlines()) == 1
