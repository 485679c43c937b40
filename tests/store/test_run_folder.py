"""The run folder: who may open it, what it refuses, and that it can be moved."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

from superalign.errors import RunFolderError
from superalign.records.evaluation import Promotion
from superalign.records.training import Checkpoint
from superalign.store.atomic import encode_json, sha256_tree, write_atomic, write_json
from superalign.store.journal import Event, Events, read_records
from superalign.store.manifest import ModelSource, RunInputs
from superalign.store.run_folder import RunFolder
from tests.store.toy_run_folder import BASE, RESOLVED, contents, toy_run


def test_two_runs_have_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    toy_run(tmp_path / "a", order=1)
    toy_run(tmp_path / "b", order=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_rounds_and_current(run_path: Path) -> None:
    with RunFolder.open(run_path, read_only=True) as folder:
        assert folder.next_round == 3
        assert folder.current().id == "round-001"  # the second candidate was refused
        assert folder.current().adapter == "rounds/001/adapter"
        assert folder.located(folder.current()).adapter == str(run_path / "rounds/001/adapter")
        assert folder.checkpoint(2).id == "round-002"
        assert [folder.incumbent(number).id for number in (1, 2, 3)] == ["base", "round-001", "round-001"]
        folder.round(3)
    assert not (run_path / "rounds/003").exists()


def test_a_moved_folder_opens(run_path: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere" / "run"
    moved.parent.mkdir()
    shutil.move(run_path, moved)
    toy_run(moved)  # nothing left to do
    with RunFolder.open(moved) as folder:
        assert folder.located(folder.current()).adapter == str(moved / "rounds/001/adapter")


def test_a_second_process_is_told_who_has_the_folder(run_path: Path) -> None:
    ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        folder = RunFolder.open(run_path)
        os.write(ready[1], str(folder.path).encode())
        signal.pause()
    os.read(ready[0], 1)
    try:
        with pytest.raises(RunFolderError, match=rf"in use by pid {pid} on {socket.gethostname()}; wait for it"):
            RunFolder.open(run_path)
        RunFolder.open(run_path, read_only=True)  # looking is allowed
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    RunFolder.open(run_path).close()  # the system released a dead process's lock


def test_the_lock_also_holds_within_one_process(run_path: Path) -> None:
    with RunFolder.open(run_path):
        with pytest.raises(RunFolderError, match=f"in use by pid {os.getpid()}"):
            RunFolder.open(run_path)
        (run_path / ".holder.json").write_text(json.dumps({"pid": 2**22 + 1, "host": socket.gethostname()}))
        with pytest.raises(RunFolderError, match="left behind"):
            RunFolder.open(run_path)
        (run_path / ".holder.json").write_text("{")
        with pytest.raises(RunFolderError, match="another process"):
            RunFolder.open(run_path)


def test_create_refuses_what_is_not_its_own(run_path: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=f"already holds a run; `superalign resume {run_path}`"):
        RunFolder.create(run_path, "", {})
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "recipe.yaml").write_text("my own")
    with pytest.raises(RunFolderError, match=r"not a run folder \(it holds recipe.yaml\).*--out"):
        RunFolder.create(tmp_path / "mine", "", {})
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["recipe.yaml"]
    with pytest.raises(RunFolderError, match="is a file"):
        RunFolder.create(tmp_path / "mine" / "recipe.yaml", "", {})
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty", "", {}).close()


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_open_refuses_what_is_no_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunFolderError, match="is not a run folder: .*superalign run"):
        RunFolder.open(tmp_path / name)


def test_the_folder_of_an_evaluation_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "asked.json").write_text("{}")
    with pytest.raises(RunFolderError, match="is not a run folder: it is the folder of an `eval`"):
        RunFolder.open(tmp_path)


def test_a_changed_recipe_is_named_field_by_field(run_path: Path) -> None:
    new = {"rounds": 5, "training": {"dpo": {"beta": 0.2}}, "seeds": ("a.yaml",), "pool": {}}
    with RunFolder.open(run_path) as folder:
        folder.require_same(RESOLVED, RunInputs())
        with pytest.raises(RunFolderError) as raised:
            folder.require_same(new, free=["rounds"])
    lines = raised.value.what.splitlines()[1:]
    assert [line.strip() for line in lines] == [
        "training.dpo.beta: 0.1 -> 0.2", 'seeds.1: "b.yaml" -> (absent)', "pool: (absent) -> {}",
    ]  # fmt: skip
    assert "another --out" in raised.value.hint


def test_a_changed_prompt_or_model_is_named(tmp_path: Path) -> None:
    old = RunInputs(prompts={"a": "1", "b": "2"}, models=(ModelSource(name="m", sha256="1"),))
    new = RunInputs(prompts={"a": "9", "c": "2"}, models=(ModelSource(name="m", sha256="2"),), chat_template_sha256="3")
    with RunFolder.create(tmp_path / "run", "", RESOLVED, old) as folder, pytest.raises(RunFolderError) as raised:
        folder.require_same(RESOLVED, new)
    for line in ("a: its content", "b: no longer", "c: was not", "model m: its files", "the chat template"):
        assert line in raised.value.what


def test_a_missing_or_altered_adapter(run_path: Path) -> None:
    weights = run_path / "rounds/001/adapter/adapter_model.safetensors"
    kept = weights.read_bytes()
    with RunFolder.open(run_path) as folder:
        weights.write_bytes(b"other")
        with pytest.raises(RunFolderError, match=r"adapter of round-001 was altered; restore"):
            folder.current()
        shutil.rmtree(weights.parent)
        with pytest.raises(RunFolderError, match=r"rounds/001/adapter: the adapter of round-001 is missing; restore"):
            folder.current()
        (run_path / "rounds/001/DONE").unlink()
        with pytest.raises(RunFolderError, match="do that round again"):
            folder.current()
    weights.parent.mkdir()
    weights.write_bytes(kept)
    RunFolder.open(run_path).close()


def test_an_adapter_outside_can_not_be_promoted(run_path: Path, tmp_path: Path) -> None:
    with RunFolder.open(run_path) as folder, pytest.raises(RunFolderError, match="lies outside"):
        folder.promote(Checkpoint(id="round-009", base="m", adapter=str(tmp_path)))


def test_a_round_without_a_candidate_keeps_the_incumbent(tmp_path: Path) -> None:
    toy_run(tmp_path / "run", promoted=())
    with RunFolder.open(tmp_path / "run") as folder:
        why = "the loss was NaN at step 3"
        assert folder.round(1).failure() == ""
        folder.finish_round(1, Promotion(candidate="-", incumbent="base", promoted=False, reason=why, checks=()))
        assert folder.round(1).failure() == why
        assert folder.current() == BASE
        assert folder.next_round == 2


def test_a_decision_is_not_made_twice(tmp_path: Path) -> None:
    toy_run(tmp_path / "run", promoted=(True,))
    with RunFolder.open(tmp_path / "run") as folder:
        round_folder = folder.round(1)
        round_folder.done.unlink()  # killed before the seal: CURRENT is the round's own candidate by now
        assert folder.current().id == "round-001"
        assert folder.incumbent(round_folder.number) == BASE
        candidate = folder.checkpoint(1)
        wrong = Promotion(candidate="round-001", incumbent="round-001", promoted=False, reason="no gain", checks=())
        kept = folder.finish_round(1, wrong, candidate)
        assert kept
        assert (kept.promoted, kept.incumbent) == (True, "base")


def test_events_are_best_effort(tmp_path: Path) -> None:
    events = Events(tmp_path / "events.jsonl")
    events.append("phase", name="play", loss=float("nan"), path=tmp_path)
    events.close()
    events.append("again")
    events.close()
    first, second = read_records(tmp_path / "events.jsonl", Event)
    assert first.payload == {"name": "play", "loss": "NaN", "path": str(tmp_path)}
    assert second.kind == "again"
    nowhere = Events(tmp_path / "no" / "events.jsonl")
    nowhere.append("lost")
    assert nowhere.lost == 1


def test_atomic_files_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": "\u2028"})
    assert path.read_text() == '{\n  "b": 1,\n  "a": "\\u2028"\n}\n'

    def fails() -> object:
        yield b"half"
        raise OSError(28, "No space left on device")

    with pytest.raises(RunFolderError, match=r"a\.json: the disk is full"):
        write_atomic(path, fails())  # type: ignore[arg-type]
    with pytest.raises(RunFolderError, match="NaN"):
        write_json(path, {"a": float("inf")})
    assert json.loads(path.read_text()) == {"b": 1, "a": "\u2028"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert encode_json("\ud800") == '"\\ufffd"'
    assert sha256_tree(tmp_path) == sha256_tree(tmp_path)
