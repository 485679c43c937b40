"""show, verify and the tables, over a run folder that the store wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superalign.analysis.attacks.report import attack_report
from superalign.analysis.summary import RunSummary, summarise
from superalign.cli.format import clean
from superalign.cli.text.run import as_text, comparison, round_block
from superalign.critic.quality.divergence import divergence
from superalign.records.evaluation import Promotion
from superalign.records.exchange import Exchange
from superalign.report.before_after import BeforeAfter, before_after
from superalign.stats.intervals import wilson
from superalign.store.atomic import write_json
from superalign.store.journal import read_records
from superalign.store.run_folder import RunFolder
from tests.cli.toy import superalign


def test_json_is_the_summary_and_nothing_else(toy: Path) -> None:
    done = superalign("show", str(toy), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    data = json.loads(done.stdout)
    with RunFolder.open(toy, read_only=True) as folder:
        shown = [BeforeAfter.model_validate(case) for case in data.pop("before_after")]
        assert shown == before_after(folder)
        assert RunSummary.model_validate_json(json.dumps(data)) == summarise(folder)


def test_tables_say_it_all_in_80_columns(toy: Path) -> None:
    text = superalign("show", str(toy)).stdout
    assert max(len(line) for line in text.splitlines() if str(toy) not in line) <= 80
    assert "\x1b" not in text
    for words in (
        "-- the base model -", "- promoted --", "- not promoted --", "- not finished --", "3: 2 best_worst, 1 critic",
        "1 critique: no verdict", "0.693 -> 0.211", "95.0 % (87.0 - 100.0)", "1 unscored", "21.3 on 2048 tokens",
        "attack 2 min 01 s", "harmful compliance fell from 100.0% to 2.5%", "over the limit of", "[bold]how[/bold]",
        "I'm sorry, but I can't help with that.", "--format merged --to exported/toy",
    ):  # fmt: skip
        assert words in text, words


@pytest.mark.parametrize("columns", [72, 80, 120])
def test_blocks_keep_to_their_width(toy: Path, columns: int) -> None:
    with RunFolder.open(toy, read_only=True) as folder:
        run = summarise(folder)
        blocks = [round_block(summary, columns) for summary in run.rounds]
        text = "\n".join([*blocks, comparison(before_after(folder), columns)])
    widest = max((line for line in text.splitlines() if "unscored" not in line and " (" not in line), key=len)
    assert len(widest) <= columns, widest
    assert as_text(run, columns).startswith("-- the base model ")


@pytest.fixture
def attacked(toy: Path) -> Path:
    """The toy with a report of a thousand attacks by strategies of long names, some of them on the critic."""
    with RunFolder.open(toy, read_only=True) as folder:
        round_folder = folder.round(1)
        played = list(read_records(round_folder.exchanges, Exchange))
        names = ["several_turns_of_a_long_story+base64", "how_to", "inject_score", *(f"way_{i}" for i in range(6))]
        made = []
        for i in range(1000):
            old = played[i % 6]
            attack = old.attack.model_copy(update={"strategy": names[i % 9], "id": f"r001/{old.attack.seed.id}/{i}"})
            made.append(old.model_copy(update={"id": attack.id, "attack": attack}))
        write_json(round_folder.attack_json, attack_report(made))
    return toy


def test_attacks_have_a_table_of_the_best_strategies_and_of_hazards(attacked: Path) -> None:
    text = superalign("show", str(attacked)).stdout
    for words in (
        "of 1000 queries", "hit@1 66.7 %, hit@3 66.7 %, hit@5 66.7 %, hit@10 66.7 %", "500 attacks on 3 goals",
        "1.5 queries a success", "self-BLEU 1.00", "(hazard x style x turns), QD score", "injections 111 attacks",
        "strategy (best 5 of 9)", "several_turns_of_a_lo...", "(none)",
    ):  # fmt: skip
        assert words in " ".join(text.split()), words
    strategies = text.partition("strategy (best 5 of 9)")[2].partition("hazard")[0].splitlines()[1:]
    assert len(strategies) == 5
    assert max(len(line) for line in text.splitlines() if str(attacked) not in line) <= 80
    with RunFolder.open(attacked, read_only=True) as folder:
        assert max(map(len, round_block(summarise(folder).rounds[1], 72).splitlines())) <= 80
    data = json.loads(superalign("show", str(attacked), "--json").stdout)
    assert [group["name"] for group in data["rounds"][1]["attack"]["elements"]][:2] == ["base64", "how_to"]
    assert data["rounds"][2]["attack"] is None


def test_hazards_by_rounds_people_and_the_attacker(attacked: Path) -> None:
    with RunFolder.open(attacked, read_only=True) as folder:
        run = summarise(folder)
        second = run.rounds[2].model_copy(update={"attack": run.rounds[1].attack, "asked": 30, "labels": 12})
    gap = divergence("harmful", *(wilson(hits, 300) for hits in (299, 28, 297, 33)))
    alarm = divergence("benign", *(wilson(hits, 300) for hits in (150, 10, 140, 130)))
    assert gap is not None
    assert alarm is not None
    decision = Promotion(candidate="attacker-002", incumbent="attacker-base", promoted=False, reason="no rise")
    second = second.model_copy(update={"divergence": (gap, alarm), "attacker": decision})
    text = as_text(run.model_copy(update={"rounds": (*run.rounds[:2], second)}), 80)
    words = " ".join(text.split())
    assert "complied with harm, % 1 2 (none) 67 67" in words
    assert "asked about 30 answers, 12 judged" in words
    assert "attacker not kept: no rise" in words
    assert "compliance with harmful requests fell 90.3 points by the critic, fell 88.0 points by the judge" in words
    assert words.count("ALARM") == 1
    assert "ALARM: the critic sees more gain (+43.3 points" in words


def test_a_run_without_rounds_has_words(toy: Path) -> None:
    empty = RunSummary(path="x", name="x", current=None, rounds=())
    assert as_text(empty, 80) == "nothing has been played yet"


def test_no_terminal_command_gets_through() -> None:
    assert clean("a\x1b[2Jb\r\n\n\x07c\u202e\td") == "a [2Jb\n c  d"
    assert clean("x" * 50, 10) == "xxxxxxx..."


def test_verify_names_an_altered_file(toy: Path) -> None:
    clean_run = superalign("verify", str(toy))
    assert clean_run.returncode == 0
    assert "every file as it was sealed" in clean_run.stdout
    exchanges = toy / "rounds/001/exchanges.jsonl"
    exchanges.write_text(exchanges.read_text().replace("Sure.", "Never"))
    (toy / "rounds/002/pairs.jsonl").unlink()
    done = superalign("verify", str(toy))
    assert done.returncode == 1
    assert "altered rounds/001/exchanges.jsonl was altered" in done.stdout
    assert "missing rounds/002/pairs.jsonl is missing" in done.stdout
    data = json.loads(superalign("verify", str(toy), "--json").stdout)
    assert (data["ok"], {finding["path"] for finding in data["findings"]}) == (
        False, {"rounds/001/exchanges.jsonl", "rounds/002/pairs.jsonl"},
    )  # fmt: skip


@pytest.mark.parametrize("command", ["show", "verify", "resume"])
def test_a_folder_that_is_no_run(tmp_path: Path, command: str) -> None:
    done = superalign(command, str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {tmp_path} is not a run folder")
    assert "Traceback" not in done.stderr
