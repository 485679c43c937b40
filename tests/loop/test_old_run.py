"""A run folder that superalign 0.1.0 wrote opens, resumes to the same bytes, and verifies.

`run_of_version_0_1.json` holds the files of a run that was killed before it wrote the checkpoint of round 2 (bytes as
Latin-1 text), the files that its recipe names, and the links of the same run without the kill.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superalign.store.manifest import Manifest, verify
from superalign.store.round_folder import MANIFEST, read_record
from tests.loop.toys import play, resume

OLD = Path(__file__).parent / "run_of_version_0_1.json"


@pytest.fixture
def old_run(tmp_path: Path) -> Path:
    """The killed run, with its recipe beside it."""
    kept = json.loads(OLD.read_text())
    for folder in ("plan", "run"):
        for name, text in kept[folder].items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text.encode("latin-1"))
    (tmp_path / "run" / "origin.json").write_text(json.dumps({"recipe": str(tmp_path / "plan" / "recipe.yaml")}))
    return tmp_path / "run"


@pytest.mark.parametrize("command", ["show", "report", "verify"])
def test_it_can_be_looked_at(old_run: Path, command: str) -> None:
    sitting = play(old_run.parent, command, old_run)
    assert sitting.code == 0, sitting.said
    if command == "show":
        assert "promoted" in sitting.said


def test_it_resumes_to_the_bytes_that_the_old_version_wrote(old_run: Path) -> None:
    sitting = resume(old_run.parent)
    assert sitting.code == 0, sitting.said
    assert "train 002" not in sitting.asked()  # that had ended, and its job is found to be the same
    manifest = read_record(old_run / MANIFEST, Manifest)
    assert [link.link for link in manifest.rounds] == json.loads(OLD.read_text())["links"]
    assert verify(old_run) == []
