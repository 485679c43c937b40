"""Fresh and replayed attacks in a scripted run: who meets them, who learns from them, what a kill does to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from superalign.records.evaluation import Evaluation, ItemResult
from superalign.records.exchange import Exchange
from superalign.records.training import Demonstration, PreferencePair
from superalign.store.journal import read_records
from superalign.store.round_folder import RoundFolder, read_record
from tests.loop.conftest import Whole
from tests.loop.toys import Fate, Sitting, contents, play, resume, run

MORE = ("--set", "attacker.seeds=[seeds/goals.yaml, seeds/many.yaml]", "--set", "evaluation.fresh={harmful: 2}",
        "--set", "evaluation.replay={harmful: 3}")  # fmt: skip


def sets(evaluation: Evaluation) -> dict[str, int]:
    return {suite.suite: suite.refused.n for suite in evaluation.suites if suite.set != "frozen"}


def test_replayed_attacks_are_those_that_worked_before(whole: Whole) -> None:
    """The golden run has too few seeds to keep any out, and replays."""
    round_folders = [RoundFolder(whole.path, number) for number in range(4)]
    measured = [read_record(round_folder.evaluation_json, Evaluation) for round_folder in round_folders]
    assert sets(measured[0]) == sets(measured[1]) == {}
    worked = {e.id for e in read_records(round_folders[1].exchanges, Exchange) if e.success}
    for items in (round_folders[2].evaluation_items, round_folders[2].incumbent_items):
        found = {item.item for item in read_records(items, ItemResult) if item.suite.startswith("replay-")}
        assert found
        assert found <= worked
    theirs = read_record(round_folders[2].incumbent_evaluation, Evaluation)
    assert (theirs.checkpoint, sets(theirs)) == ("round-001", sets(measured[2]))
    assert theirs.perplexity is None


@pytest.fixture(scope="module")
def sitting(tmp_path_factory: pytest.TempPathFactory) -> Sitting:
    whole = run(tmp_path_factory.mktemp("more"), None, *MORE)
    assert whole.code == 0, whole.said
    return whole


@pytest.fixture(scope="module")
def more(sitting: Sitting) -> Path:
    return sitting.folder / "run"


def test_nobody_learns_from_seeds_that_are_kept_out(more: Path) -> None:
    for number in (1, 2, 3):
        round_folder = RoundFolder(more, number)
        fresh = {
            item.item
            for item in read_records(round_folder.incumbent_items, ItemResult)
            if item.suite == "fresh-harmful"
        }
        kept_out = {e.attack.seed.id for e in read_records(round_folder.exchanges, Exchange) if e.id in fresh}
        assert len(kept_out) == 2
        taught = {d.source for d in read_records(round_folder.demonstrations, Demonstration)}
        taught |= {pair.source for pair in read_records(round_folder.pairs, PreferencePair)}
        assert taught
        assert not [id for id in taught if any(f"/{seed}/" in str(id) for seed in kept_out)]
        assert sets(read_record(round_folder.evaluation_json, Evaluation))["fresh-harmful"] == 2


@pytest.mark.parametrize("at", ["before rounds/001/incumbent_evaluation.json", "before rounds/002/exchanges.jsonl"])
def test_killed_while_the_incumbent_is_measured_nothing_is_asked_twice(
    sitting: Sitting, more: Path, tmp_path: Path, at: str
) -> None:
    killed = run(tmp_path, Fate(at, jitter=2), *MORE)
    assert killed.killed
    items = RoundFolder(tmp_path / "run", int(at.split("/")[1])).incumbent_items
    prompts = {item.prompt[-1].content for item in read_records(items, ItemResult)}
    assert prompts
    again = resume(tmp_path)
    assert again.code == 0, again.said
    measured = [[line for line in asked if line.partition(": ")[2] in prompts] for asked in
                (sitting.asked(), killed.asked() + again.asked())]  # fmt: skip
    assert sorted(measured[0]) == sorted(measured[1])
    assert contents(tmp_path / "run") == contents(more)


def test_show_tells_the_sets_apart(more: Path) -> None:
    shown = play(more.parent, "show", "--full", more)
    assert "fresh-harmful" in shown.said
    assert "replay-harmful" in shown.said
