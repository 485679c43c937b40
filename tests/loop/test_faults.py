"""What can go wrong with a run folder, as the person at the terminal meets it: a clear message, and nothing lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from superalign.store.manifest import verify
from tests.loop.conftest import Whole
from tests.loop.toys import PLAN, RECIPE, Fate, Sitting, contents, play, resume, run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def own_recipe(tmp_path: Path) -> Path:
    """The plan in a folder of its own, to be changed."""
    return Path(shutil.copytree(PLAN, tmp_path / "plan")) / "recipe.yaml"


def superalign(*words: object) -> subprocess.CompletedProcess[str]:
    """The command line as it is, nothing patched."""
    return subprocess.run(
        [sys.executable, "-m", "superalign.cli.main", *map(str, words)],
        cwd=ROOT, text=True, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


FULL = [(Fate(f"full {line}"), "the disk is full") for line in (1, 15, 40)]
LIMITED = [
    (Fate(file_bytes=size), "the limit on the size of a file (ulimit -f) is reached") for size in (11_000, 14_000)
]


@pytest.mark.parametrize(("fate", "reason"), FULL + LIMITED)
def test_a_full_disk_ends_the_run_and_resume_goes_on(whole: Whole, tmp_path: Path, fate: Fate, reason: str) -> None:
    sitting = run(tmp_path, fate)
    assert sitting.code == 1
    assert f"{reason}; make room on the disk of " in sitting.said
    assert sitting.said.endswith("then `superalign resume` the run: nothing finished is lost\n")
    assert "Traceback" not in sitting.said
    assert resume(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


def test_a_disk_that_is_full_from_the_start(whole: Whole, tmp_path: Path) -> None:
    assert "run/resolved.json: the limit on the size" in run(tmp_path, Fate(file_bytes=5_000)).said
    assert run(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


@pytest.mark.parametrize("journal", ["exchanges.jsonl", "dropped.jsonl", "events.jsonl"])
def test_a_half_written_last_line_costs_only_itself(whole: Whole, tmp_path: Path, journal: str) -> None:
    assert run(tmp_path, Fate("request 30")).killed
    path = tmp_path / "run" / ("" if journal == "events.jsonl" else "rounds/001") / journal
    with path.open("ab") as file:
        file.write('{"id":"r001/forge/0","round":1,"attack":{"seed":"\u00e9'.encode()[:-1])
    assert play(tmp_path, "show", tmp_path / "run").code == 0
    assert resume(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


def test_a_second_process_is_sent_away(whole: Whole, tmp_path: Path) -> None:
    first = Sitting(tmp_path, "run", RECIPE, "--out", tmp_path / "run", fate=Fate("hang 20"))
    first.until(lambda: len(first.asked()) >= 20)
    for second in (resume(tmp_path), run(tmp_path)):
        assert second.code == 1
        assert f"run is in use by pid {first.process.pid} on " in second.said
        assert second.said.endswith("wait for it to end, or stop it, then resume\n")
        assert second.asked() == []
    assert play(tmp_path, "show", tmp_path / "run").code == 0
    first.process.kill()
    first.end()
    assert resume(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


def test_a_changed_recipe_is_named_field_by_field(whole: Whole, tmp_path: Path) -> None:
    assert run(tmp_path, Fate("request 30")).killed
    changed = run(tmp_path, None, "--set", "learner.temperature=0.1", "--set", "pairing.balance.ordinary=9")
    assert changed.code == 1
    assert "was begun with another recipe:\n  learner.temperature: 0.9 -> 0.1\n" in changed.said
    assert "  pairing.balance.ordinary: 3 -> 9\n" in changed.said
    assert "put these back and resume, or start a new run with another --out" in changed.said
    assert run(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


def test_the_engine_and_the_number_of_rounds_may_change(whole: Whole, tmp_path: Path) -> None:
    assert run(tmp_path, None, "--rounds", "1").code == 0
    further = run(tmp_path, None, "--rounds", "3", "--set", "pool.delay_ms=1", "--set", "max_walks=9")
    assert further.code == 0, further.said
    rounds = {name: content for name, content in whole.bytes.items() if name.startswith("rounds/")}
    found = contents(tmp_path / "run")
    assert {name: found[name] for name in rounds if not name.endswith("DONE")} == {
        name: content for name, content in rounds.items() if not name.endswith("DONE")
    }
    assert verify(tmp_path / "run") == []


def test_a_changed_prompt_file_is_named(whole: Whole, tmp_path: Path, own_recipe: Path) -> None:
    assert run(tmp_path, Fate("after rounds/001/pairs.jsonl"), recipe=own_recipe).killed
    constitution = own_recipe.with_name("constitution.yaml")
    before = constitution.read_text()
    constitution.write_text(before.replace("Do not help with crime.", "Crime pays."))
    refused = resume(tmp_path)
    assert (refused.code, "constitution.yaml: its content changed" in refused.said) == (1, True)
    constitution.write_text(before)
    assert resume(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


def test_a_recipe_altered_inside_the_run_is_noticed(tmp_path: Path) -> None:
    assert run(tmp_path, Fate("after rounds/001/DONE")).killed
    kept = tmp_path / "run/recipe.yaml"
    kept.write_text(kept.read_text().replace("max_walks: 5", "max_walks: 6").replace("seed: 11", "seed: 12"))
    refused = resume(tmp_path)
    assert (refused.code, "seed: 11 -> 12" in refused.said) == (1, True)
    kept.write_text("][")
    assert "no longer a recipe" in resume(tmp_path).said


def test_the_folder_may_move_and_be_a_link(whole: Whole, tmp_path: Path) -> None:
    assert run(tmp_path, Fate("after rounds/001/DONE")).killed
    (tmp_path / "deep/below").mkdir(parents=True)
    (tmp_path / "run").rename(tmp_path / "deep/below/moved")
    (tmp_path / "run").symlink_to(tmp_path / "deep/below/moved")
    sitting = resume(tmp_path)
    assert sitting.code == 0, sitting.said
    assert contents(tmp_path / "deep/below/moved") == whole.bytes


def test_a_missing_adapter_of_the_incumbent(whole: Whole, tmp_path: Path) -> None:
    assert run(tmp_path, Fate("after rounds/002/pairs.jsonl")).killed
    adapter = tmp_path / "run/rounds/001/adapter"
    adapter.rename(tmp_path / "kept")
    refused = resume(tmp_path)
    assert refused.code == 1
    assert f"{adapter}: the adapter of round-001 is missing; restore it from a copy" in refused.said
    (tmp_path / "kept").rename(adapter)
    weights = adapter / "adapter_model.safetensors"
    before = weights.read_bytes()
    weights.write_bytes(before[:-1])
    assert "the adapter of round-001 was altered" in resume(tmp_path).said
    weights.write_bytes(before)
    assert resume(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


def test_a_missing_adapter_of_the_candidate_can_be_made_again(whole: Whole, tmp_path: Path) -> None:
    assert run(tmp_path, Fate("after rounds/002/checkpoint.json")).killed
    round_folder = tmp_path / "run/rounds/002"
    shutil.rmtree(round_folder / "adapter")
    refused = resume(tmp_path)
    assert f"or delete {round_folder} and resume to do that round again" in refused.said
    shutil.rmtree(round_folder)
    assert resume(tmp_path).code == 0
    assert contents(tmp_path / "run") == whole.bytes


def test_verify_names_what_was_altered(whole: Whole, tmp_path: Path) -> None:
    path = Path(shutil.copytree(whole.path, tmp_path / "run"))
    clean = superalign("verify", path)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert "4 sealed rounds" in clean.stdout
    exchanges = path / "rounds/001/exchanges.jsonl"
    exchanges.write_bytes(exchanges.read_bytes().replace(b'"refusal":"full"', b'"refusal":"none"', 1))
    (path / "rounds/002/promotion.json").unlink()
    (path / "rounds/003/notes.txt").write_text("mine")
    found = superalign("verify", path)
    assert found.returncode == 1
    assert found.stdout.splitlines()[:-1] == [
        "altered rounds/001/exchanges.jsonl was altered",
        "missing rounds/002/promotion.json is missing",
        "added   rounds/003/notes.txt was added after the round was sealed",
    ]
