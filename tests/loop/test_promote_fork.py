"""`superalign promote` and `fork` on a run of the real loop: the next rounds start from what was chosen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from superalign.records.training import Checkpoint
from superalign.store.manifest import Manifest, verify
from superalign.store.round_folder import RoundFolder, read_record
from tests.loop.conftest import Whole
from tests.loop.toys import play, resume


def parent(run: Path, number: int) -> str | None:
    return read_record(RoundFolder(run, number).checkpoint_json, Checkpoint).parent


def test_a_run_goes_back_and_a_fork_goes_its_own_way(whole: Whole, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "out"
    shutil.copytree(whole.path, run)
    forked = play(tmp_path, "fork", run, "--from", "2", "--out", out, "--set", "attacker.tries=2", "--json")
    assert forked.code == 0, forked.said
    assert json.loads(forked.said.splitlines()[-1])["round"] == 2
    went_on = play(tmp_path, "resume", out)
    assert went_on.code == 0, went_on.said
    assert not any(line.startswith("r00") and line[3] != "3" for line in went_on.asked())  # its rounds are not replayed
    assert parent(out, 3) == "round-001"
    assert verify(out) == []
    fork = read_record(out / "manifest.json", Manifest).fork
    assert fork is not None
    assert fork.head == read_record(run / "manifest.json", Manifest).head_after(2)

    back = play(tmp_path, "promote", run, "--round", "1", "--reason", "round 3 is curt")
    assert back.code == 0, back.said
    assert "promoted    round-001 instead of round-003, after round 3: round 3 is curt" in back.said
    assert "by hand     round-001 for round-003 after round 3: round 3 is curt" in play(tmp_path, "show", run).said
    more = resume(tmp_path, "--rounds", "4")
    assert more.code == 0, more.said
    assert parent(run, 4) == "round-001"
    assert verify(run) == []
    refused = play(tmp_path, "fork", run, "--from", "2", "--out", tmp_path / "no", "--set", "evaluation.max_tokens=3")
    assert refused.code == 1
    assert "evaluation.max_tokens: 32 -> 3" in refused.said
    assert play(tmp_path, "promote", run, "--round", "1", "--reason", " ").code == 1
