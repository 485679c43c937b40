"""A run whose attacker searches, by the real command line: what it learns survives kills, whatever the order."""

from __future__ import annotations

from pathlib import Path

import pytest

from superalign.analysis.attacks.records import AttackReport
from superalign.records.exchange import Exchange
from superalign.store.journal import read_records
from superalign.store.manifest import verify
from superalign.store.round_folder import RoundFolder, read_record
from tests.loop.conftest import Whole
from tests.loop.toys import PLAN, Fate, contents, finished, resume, run

RECIPE = PLAN / "searching.yaml"


@pytest.fixture(scope="module")
def searched(_server: None, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    folder = tmp_path_factory.mktemp("searched")
    sitting = run(folder, recipe=RECIPE)
    assert sitting.code == 0, sitting.said
    return Whole(folder / "run", contents(folder / "run"), sitting.asked())


def exchanges(whole: Whole, number: int) -> list[Exchange]:
    return list(read_records(RoundFolder(whole.path, number).exchanges, Exchange))


def test_every_way_is_in_it(searched: Whole) -> None:
    played = exchanges(searched, 1) + exchanges(searched, 2)
    names = {e.attack.strategy.partition(":")[0] for e in played}
    assert names == {"straight", "museum", "talk", "again", "evolve", "replay"}
    assert any(e.attack.strategy.startswith("evolve:") and "+" in e.attack.strategy for e in played)
    assert verify(searched.path) == []


def test_turns_are_answered_by_this_learner_and_setting_up_is_not_judged(searched: Whole) -> None:
    told = [e for e in exchanges(searched, 1) if e.attack.strategy == "replay"]
    first, last = told[0], told[1]
    assert [m.role for m in last.attack.messages] == ["user", "assistant", "user"]
    assert last.attack.messages[1].content == first.answers[0].generation.text
    assert (first.attack.setup, last.attack.setup) == (True, False)
    assert first.answers[0].verdict is None
    assert last.answers[0].verdict is not None


def test_what_broke_the_learner_is_tried_more_often(searched: Whole) -> None:
    first, second = exchanges(searched, 1), exchanges(searched, 2)
    share = [
        sum("museum" in e.attack.strategy for e in r if e.attack.seed.kind == "harmful") / len(r)
        for r in (first, second)
    ]
    assert share[1] > share[0]
    report = read_record(RoundFolder(searched.path, 2).attack_json, AttackReport)
    assert report.harmful.queries == sum(e.attack.seed.intent == "harmful" for e in second)


@pytest.mark.parametrize("jitter", [1, 2, 5])
def test_the_order_of_completion_changes_nothing(searched: Whole, tmp_path: Path, jitter: int) -> None:
    assert run(tmp_path, Fate(jitter=jitter), recipe=RECIPE).code == 0
    assert contents(tmp_path / "run") == searched.bytes


KILLS = [f"request {n}" for n in (40, 64, 77, 90, 103, 126)] + ["line 45", "line 61", "line 120"]


@pytest.mark.parametrize("at", [*KILLS, "before rounds/001/attack.json", "after rounds/001/attack.json"])
def test_archive_bandit_and_conversations_survive_a_kill(searched: Whole, tmp_path: Path, at: str) -> None:
    assert run(tmp_path, Fate(at, jitter=4), recipe=RECIPE).killed
    done = finished(tmp_path / "run")
    sitting = resume(tmp_path)
    assert sitting.code == 0, sitting.said
    assert contents(tmp_path / "run") == searched.bytes
    attacks = {line for line in done if line.startswith("r0")}
    repeated = attacks & set(sitting.asked())
    assert all(_goes_on(tmp_path, rollout) for rollout in repeated), "only walks of several attacks are gone on with"


def _goes_on(folder: Path, rollout: str) -> bool:
    found = RoundFolder(folder / "run", int(rollout[1:4])).exchanges
    return sum(e.id.rpartition("/")[2].partition(".")[0] == rollout.rpartition("/")[2] and e.id.startswith(rollout)
               for e in read_records(found, Exchange)) > 1  # fmt: skip
