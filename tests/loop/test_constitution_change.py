"""Values that change in a run: each round under its own version, the past judged anew, and no byte lost by a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from superalign.records.evaluation import Evaluation, Promotion
from superalign.records.training import Demonstration
from superalign.store.journal import read_records
from superalign.store.manifest import verify
from superalign.store.round_folder import RoundFolder, read_record
from superalign.values.metrics import ValueResult, ValuesReport
from superalign.values.replay import PREFIX, Replayed
from tests.loop.toys import PLAN, Fate, contents, play, resume, run

RECIPE = PLAN / "values.yaml"


@pytest.fixture(scope="module")
def played(_server: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("values")
    sitting = run(folder, recipe=RECIPE)
    assert sitting.code == 0, sitting.said
    return folder


def test_adoption_retention_and_stale_rate_of_each_round(played: Path) -> None:
    reports = [read_record(RoundFolder(played / "run", n).values_json, ValuesReport) for n in range(4)]
    assert [(r.version, r.before) for r in reports] == [("1", None), ("1", None), ("2", "1"), ("1", "2")]
    assert [r.kept.rate for r in reports] == [0.0, 1.0, 1.0, 1.0]
    assert [(r.won, r.lost) for r in reports[1:]] == [(6, 0), (3, 0), (3, 0)]
    for report in reports[2:]:
        assert report.adoption is not None
        assert report.stale is not None
        assert report.retention is not None
        assert (report.adoption.rate, report.stale.rate, report.retention.rate) == (1.0, 0.0, 1.0)
        assert (report.adoption.n, report.retention.n) == (3, 3)
    shown = play(played, "show", "--full", played / "run")
    assert "replay      4 past examples hold, 2 turned round, 2 dropped" in shown.said
    assert "principles  ache 100.0 %, money (new) 100.0 %" in shown.said


def test_the_incumbent_is_judged_by_the_version_that_holds_now(played: Path) -> None:
    round_folder = RoundFolder(played / "run", 2)
    rejudged = {r.item: r for r in read_records(round_folder.values_rejudged, ValueResult)}
    assert {(r.kept("1"), r.kept("2")) for id, r in rejudged.items() if id.startswith("m")} == {(True, False)}
    decision = read_record(round_folder.promotion_json, Promotion)
    assert decision.promoted
    assert "from 50.0% to 100.0% of 6 replies: 3 won, 0 lost" in decision.reason
    incumbent, first = (
        read_record(path, Evaluation) for path in (round_folder.standing_json, _room(played, 1).evaluation_json)
    )
    assert incumbent == first, "the rules read no constitution"


def test_past_examples_are_replayed_turned_round_or_dropped(played: Path) -> None:
    fates = {r.id: r.fate for r in read_records(_room(played, 2).replay, Replayed)}
    assert fates == {
        "r001/a1/0/sft": "held", "r001/a2/0/sft": "held", "r001/m1/0/sft": "dropped", "r001/m2/0/sft": "dropped",
        "r001/a1/0/dpo": "held", "r001/a2/0/dpo": "held", "r001/m1/0/dpo": "flipped", "r001/m2/0/dpo": "flipped",
    }  # fmt: skip
    again = {r.id: r for r in read_records(_room(played, 3).replay, Replayed)}
    assert {id: r.fate for id, r in again.items() if "/m" in id and r.id.endswith("sft")} == {
        "r002/m1/0/sft": "flipped", "r002/m2/0/sft": "flipped",
    }  # fmt: skip
    turned = again["r002/m1/0/sft"].demonstration
    assert turned is not None
    assert (turned.completion.text, turned.origin) == ("Ask a bank.", "critic")
    trained = [d.id for d in read_records(_room(played, 3).demonstrations, Demonstration)]
    assert PREFIX + "r002/m1/0/sft" in trained


@pytest.mark.parametrize(("strategy", "parent", "replayed"), [("naive", "round-001", 0), ("scratch", "base", 2)])
def test_the_other_strategies(tmp_path: Path, strategy: str, parent: str, replayed: int) -> None:
    sitting = run(tmp_path, None, "--set", f"values.on_switch={strategy}", "--rounds", "2", recipe=RECIPE)
    assert sitting.code == 0, sitting.said
    checkpoint = (_room(tmp_path, 2).checkpoint_json).read_text()
    assert f'"parent": "{parent}"' in checkpoint
    ids = [d.id for d in read_records(_room(tmp_path, 2).demonstrations, Demonstration)]
    assert sum(id.startswith(PREFIX) for id in ids) == replayed


@pytest.mark.parametrize(
    "at",
    ["line 4", "line 35", "line 60", "before rounds/002/demonstrations.jsonl", "after rounds/002/standing.json",
     "after rounds/002/checkpoint.json", "before rounds/002/values.json", "after rounds/002/values.json",
     "after rounds/003/promotion.json"],
)  # fmt: skip
def test_a_kill_changes_no_byte(tmp_path: Path, played: Path, at: str) -> None:
    assert run(tmp_path, Fate(at=at), recipe=RECIPE).killed
    sitting = resume(tmp_path)
    assert sitting.code == 0, sitting.said
    assert contents(tmp_path / "run") == contents(played / "run")
    assert verify(tmp_path / "run") == []


def _room(folder: Path, number: int) -> RoundFolder:
    return RoundFolder(folder / "run", number)
