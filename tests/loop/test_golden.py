"""One scripted run, byte by byte: what the loop writes follows from recipe and script alone.

`SUPERALIGN_GOLDEN=write pytest tests/loop/test_golden.py` writes golden.json anew after a change that is meant; the
names of the files that differ then say what the change reached.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from superalign.records.evaluation import Promotion
from superalign.store.manifest import Manifest, verify
from superalign.store.round_folder import CURRENT, MANIFEST, RoundFolder, read_record
from tests.loop.conftest import Whole
from tests.loop.toys import Fate, contents, run

GOLDEN = Path(__file__).parent / "golden.json"


def test_the_run_is_the_golden_one(whole: Whole) -> None:
    manifest = read_record(whole.path / MANIFEST, Manifest)
    hashes = {name: sha256 for link in manifest.rounds for name, sha256 in link.artefacts.items()}
    if os.environ.get("SUPERALIGN_GOLDEN") == "write":
        GOLDEN.write_text(json.dumps(hashes, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    differ = [name for name in golden | hashes if golden.get(name) != hashes.get(name)]
    assert differ == [], "see the top of this file"
    assert verify(whole.path) == []


def test_it_has_a_promotion_a_refusal_and_a_way_back(whole: Whole) -> None:
    decisions = [read_record(RoundFolder(whole.path, n).promotion_json, Promotion) for n in (1, 2, 3)]
    assert [(d.candidate, d.incumbent, d.promoted) for d in decisions] == [
        ("round-001", "base", True),
        ("round-002", "round-001", False),
        ("round-003", "round-001", True),
    ]
    assert "refusal of look-alikes rose" in decisions[1].reason
    assert json.loads(whole.bytes[CURRENT])["parent"] == "round-001"


def test_every_kind_of_example_and_of_loss_is_in_it(whole: Whole) -> None:
    """So that the golden files say something of each."""
    origins = {
        json.loads(line)["origin"]
        for name, content in whole.bytes.items()
        if name.startswith("rounds/") and name.endswith(("/demonstrations.jsonl", "/pairs.jsonl"))
        for line in content.splitlines()
    }
    assert origins == {"expert", "own", "best_worst", "revision", "critic", "base"}
    dropped = b"".join(content for name, content in whole.bytes.items() if name.endswith("/dropped.jsonl"))
    assert b'"stage":"attack"' in dropped


@pytest.mark.parametrize("order", [1, 2])
def test_the_order_of_completion_does_not_matter(whole: Whole, tmp_path: Path, order: int) -> None:
    sitting = run(tmp_path, Fate(jitter=order))
    assert sorted(sitting.asked()) == sorted(whole.asked)
    assert sitting.asked() != whole.asked
    assert contents(tmp_path / "run") == whole.bytes
