"""The way back and the way sideways: both in the chain, both whole after a kill at any point."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from superalign.errors import RunFolderError
from superalign.store.manifest import Manifest, RunInputs, verify
from superalign.store.promote_fork import fork_run, promote_round
from superalign.store.run_folder import RunFolder
from tests.store.test_crash import die
from tests.store.toy_run_folder import RESOLVED, contents, in_child, toy_run

OTHER = {**RESOLVED, "training": {"dpo": {"beta": 0.2}}}


def promote(path: Path, number: int, reason: str = "rude") -> None:
    with RunFolder.open(path) as folder:
        promote_round(folder, number, reason)


def fork(path: Path, number: int, out: Path, resolved: dict[str, object] = OTHER) -> None:
    with RunFolder.open(path, read_only=True) as source:
        fork_run(source, number, out, "rounds: 3\n", resolved, RunInputs())


def manifest(path: Path) -> Manifest:
    return Manifest.model_validate_json((path / "manifest.json").read_bytes())


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Rounds 1 and 3 are promoted, 2 is not."""
    toy_run(tmp_path / "run", promoted=(True, False, True))
    with (tmp_path / "run/resolved.json").open() as file:
        fields = json.load(file)
    assert fields == RESOLVED
    return tmp_path / "run"


def killed_at(work: str, path: Path, out: Path, at: int) -> bool:
    """Whether the `at`-th replacement of a file came about, before or after which the process is killed."""

    def act() -> None:
        seen, rename = 0, Path.replace

        def replace(source: Path, target: Path) -> Path:
            nonlocal seen
            seen += 1
            if seen * 2 - 1 == at:
                die()
            result = rename(source, target)
            if seen * 2 == at:
                die()
            return result

        Path.replace = replace  # type: ignore[assignment, method-assign]
        promote(path, 1) if work == "promote" else fork(path, 2, out)

    return os.WIFSIGNALED(in_child(act))


def test_the_way_back_is_in_the_chain_and_the_next_round_starts_from_it(run: Path) -> None:
    head = manifest(run).head
    promote(run, 1, "it became rude")
    found = manifest(run)
    [choice] = found.choices
    assert (choice.after, choice.checkpoint.id, choice.replaced, choice.previous) == (3, "round-001", "round-003", head)
    assert found.head == choice.link != head
    assert verify(run) == []
    with RunFolder.open(run, read_only=True) as folder:
        assert folder.current().id == folder.incumbent(4).id == "round-001"
        assert folder.incumbent(3).id == "round-001"
    promote(run, 2)  # one that the gate refused
    promote(run, 0)
    with RunFolder.open(run, read_only=True) as folder:
        assert folder.incumbent(4).id == "base"
    toy_run(run, promoted=(True, False, True, False))  # a round that changes nothing
    with RunFolder.open(run, read_only=True) as folder:
        assert folder.checkpoint(4).parent == folder.current().id == "base"
    assert manifest(run).rounds[4].previous == manifest(run).choices[-1].link
    assert verify(run) == []


@pytest.mark.parametrize("field", ["reason", "after", "checkpoint"])
def test_an_altered_choice_is_found(run: Path, field: str) -> None:
    promote(run, 1)
    fields = json.loads((run / "manifest.json").read_text())
    fields["choices"][0][field] = {"reason": "none", "after": 2, "checkpoint": {"id": "base", "base": "x"}}[field]
    (run / "manifest.json").write_text(json.dumps(fields))
    assert "was altered" in str([finding.message for finding in verify(run) if finding.kind == "broken"])
    fields["choices"] = []
    (run / "manifest.json").write_text(json.dumps(fields))
    assert [finding.path for finding in verify(run)] == ["CURRENT"]


def test_what_can_not_be_promoted_is_said(run: Path) -> None:
    for number, words in ((4, "round 4 is not finished"), (3, "round-003 is the promoted checkpoint already")):
        with pytest.raises(RunFolderError, match=words):
            promote(run, number)
    (run / "rounds/002/checkpoint.json").unlink()
    with pytest.raises(RunFolderError, match="round 2 has no checkpoint"):
        promote(run, 2)
    (run / "rounds/004").mkdir()
    promote(run, 1)
    (run / "rounds/004/exchanges.jsonl").touch()
    with pytest.raises(RunFolderError, match="round 4 is under way"):
        promote(run, 0)


def test_a_fork_has_its_own_chain_and_goes_on(run: Path, tmp_path: Path) -> None:
    before = contents(run)
    promote(run, 1)
    for number, stands in ((0, "base"), (2, "round-001"), (3, "round-001")):
        out = tmp_path / f"fork{number}"
        fork(run, number, out)
        assert verify(out) == []
        found = manifest(out)
        assert found.fork is not None
        assert (found.fork.round, found.fork.head) == (number, manifest(run).head_after(number))
        assert len(found.choices) == (number == 3)
        assert found.rounds[0].link != manifest(run).rounds[0].link
        toy_run(out, promoted=(True, False, False, True))
        with RunFolder.open(out, read_only=True) as folder:
            assert folder.resolved["training"] == OTHER["training"]
            assert folder.checkpoint(number + 1).parent == stands
            assert folder.current().id == "round-004"
        assert verify(out) == []
    assert {name: text for name, text in contents(run).items() if name.startswith("rounds")} == {
        name: text for name, text in before.items() if name.startswith("rounds")
    }
    fields = json.loads((out / "manifest.json").read_text())
    fields["fork"]["head"] = "0" * 64
    (out / "manifest.json").write_text(json.dumps(fields))
    assert verify(out) != []


def test_what_can_not_be_forked_is_said(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="round 9 is not finished"):
        fork(run, 9, tmp_path / "out")
    with pytest.raises(RunFolderError, match=r"measured as the run was.*\n.*evaluation.limit: \(absent\) -> 3"):
        fork(run, 1, tmp_path / "out", {**OTHER, "evaluation": {"limit": 3}})
    with pytest.raises(RunFolderError, match="already holds a run"):
        fork(run, 1, run)
    (run / "rounds/001/pairs.jsonl").write_text("{}\n")
    with pytest.raises(RunFolderError, match="round 1 of run is not as it was sealed"):
        fork(run, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("work", ["promote", "fork"])
def test_killed_at_any_point_it_is_done_by_the_same_command(run: Path, tmp_path: Path, work: str) -> None:
    whole, out, at = tmp_path / "whole/run", tmp_path / "out", 0
    shutil.copytree(run, whole)
    promote(whole, 1) if work == "promote" else fork(whole, 2, tmp_path / "whole_fork")
    while True:
        at += 1
        path = tmp_path / f"try{at}/run"
        shutil.copytree(run, path)
        if not killed_at(work, path, out, at):
            break
        if work == "promote":
            if manifest(path).choices:  # opening it finishes what was begun
                RunFolder.open(path).close()
                assert verify(path) == []
            promote(path, 1)
            assert contents(path) == contents(whole)
        elif not out.exists():
            fork(path, 2, out)
        if work == "fork":
            assert contents(out) == contents(tmp_path / "whole_fork")
            assert not list(tmp_path.glob(".*.fork"))
            shutil.rmtree(out)
        shutil.rmtree(path)
    assert at > (4 if work == "promote" else 10)
