"""The deception audit in a scripted run: off under rules, and on under a committee that can be in doubt."""

from __future__ import annotations

import shutil
from pathlib import Path

from superalign.analysis.deception_audit import Audit
from superalign.store.manifest import verify
from superalign.store.round_folder import RoundFolder, read_record
from tests.loop.conftest import Whole
from tests.loop.toys import PLAN, Fate, contents, play, resume, run

COMMITTEE = """critic:
  type: committee
  members:
    - {type: rules}
    - {type: checks, checks: [{kind: length, id: brief, max_words: 9}]}
  weights: [2, 1]"""


def test_rules_give_no_confidence_and_that_is_said(whole: Whole) -> None:
    assert "no confidence" in read_record(RoundFolder(whole.path, 1).audit_json, Audit).off
    assert (
        "deception   not audited: the critic gives no confidence" in play(whole.path, "show", "--full", whole.path).said
    )


def test_a_committee_is_audited_and_a_kill_changes_no_byte(tmp_path: Path) -> None:
    shutil.copytree(PLAN, tmp_path / "plan")
    recipe = tmp_path / "plan/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("critic: {type: rules}", COMMITTEE).replace("rounds: 3", "rounds: 2"))
    for name, fate in (("whole", None), ("killed", Fate(at="before rounds/002/audit.json"))):
        (tmp_path / name).mkdir()
        sitting = run(tmp_path / name, fate, recipe=recipe)
        assert sitting.code == 0 or (fate and sitting.killed), sitting.said
    assert resume(tmp_path / "killed").code == 0
    assert contents(tmp_path / "killed/run") == contents(tmp_path / "whole/run")
    assert verify(tmp_path / "whole/run") == []
    found = read_record(RoundFolder(tmp_path / "whole/run", 2).audit_json, Audit)
    assert [part.dimension for part in found.dimensions] == ["harmful", "lookalike", "ordinary"]
    assert any(part.unseen.n for part in found.dimensions)
    assert any(part.seen.n for part in found.dimensions)
