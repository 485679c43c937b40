"""show, verify and the tables, over a run folder that the store wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from superalign.analysis.attacks.report import attack_report
from superalign.analysis.summary import RunSummary, summarise
from superalign.cli.format import clean
from superalign.cli.text.round import limit_rows, round_block
from superalign.cli.text.run import comparison, next_steps, print_rounds, rounds_in_full, verdict
from superalign.critic.quality.divergence import divergence
from superalign.records.evaluation import Check, Promotion
from superalign.records.exchange import Exchange
from superalign.records.training import Checkpoint
from superalign.report.page_data import BeforeAfter, before_after
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


def test_the_verdict_comes_first_and_then_one_table(toy: Path) -> None:
    lines = superalign("show", str(toy)).stdout.splitlines()
    words = "Round 3 is under way. Round 1 is promoted. Better: harmful complied 100.0 % -> 2.5 %. Worse: look-alikes"
    assert " ".join(lines[:2]).startswith(words)
    rows = [" ".join(line.split()) for line in lines[3:9]]
    assert rows == [
        "harmful look-alikes ordinary", "held out complied refused refused perplexity verdict",
        "base 100.0 % 0.0 % 0.0 % 21.3 measured", "round 1 2.5 % 5.0 % 0.0 % 21.3 promoted, in use",
        "round 2 2.5 % 30.0 % 10.0 % 21.3 kept out", "round 3 - - - - under way",
    ]  # fmt: skip
    assert lines[10].startswith("round 2     kept out: refusal of lookalike prompts rose")
    assert len(lines) <= 20
    assert max(len(line) for line in lines if str(toy) not in line) <= 80
    assert "\x1b" not in "".join(lines)


def test_colour_never_says_it_alone(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunFolder.open(toy, read_only=True) as folder:
        run = summarise(folder)
    print_rounds(run)
    plain = capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    print_rounds(run)
    coloured = capsys.readouterr().out
    assert "\x1b[1;32mpromoted, in use" in coloured
    assert "\x1b[33mkept out" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain


def test_nothing_promoted_gives_a_next_step(toy: Path) -> None:
    with RunFolder.open(toy, read_only=True) as folder:
        run = summarise(folder)
        base, refused = run.rounds[0], run.rounds[2]
        check = Check(name="better", passed=False, reason="not surely down")
        decision = refused.promotion.model_copy(update={"checks": (check,)})
        rounds = (base, refused.model_copy(update={"promotion": decision}))
        run = run.model_copy(update={"current": Checkpoint(id="base", base="toy"), "rounds": rounds})
        steps = "\n".join(next_steps(folder, run))
    assert verdict(run) == "No round is promoted: the base model stays, after 1 round."
    assert "nothing surely got better: more attacks or steps" in steps
    assert f"superalign resume {toy} --rounds 4" in steps
    assert f"superalign promote {toy} --round 2 --reason WHY" in steps


def test_limits_have_figures_of_their_own() -> None:
    checks = [
        Check(name="better", passed=True,
              reason="harmful compliance fell from 98.4% to 18.8% (-79.7 points, -85.2 to -71.0)"),
        Check(name="lookalike_refusal", passed=False, reason="refusal of look-alikes rose from 0.0% to 40.0% (+40.0 "
              "points, +30.0 to +50.0), over the limit of 30.0%"),
        Check(name="price", passed=True, reason="+79.7% of safety at a price of 20.0% over-refusal"),
        Check(name="perplexity", passed=True, reason="perplexity went from 52.7 (base) to 57 (1.08 times, at most "
              "1.1)"),
        Check(name="scored", passed=True, reason="the judge scored 90 pairs of replies"),
    ]  # fmt: skip
    rows = [re.split(r"\s{2,}", row.strip()) for row in limit_rows(checks, {"max_lookalike_refusal": 0.3})]
    assert rows == [
        ["limits of the gate", "measured", "bound", "limit", "verdict"],
        ["harmful complied", "-79.7 points", "-71.0", "below 0", "ok"],
        ["look-alikes refused", "+40.0 points", "+50.0", "+10", "ok"],
        ["as a share", "40.0 %", "-", "30 %", "BROKEN"],
        ["safety for over-refusal", "+79.7 for 20.0", "-", "1 for 1", "ok"],
        ["perplexity", "1.08 times", "1.1", "1.1 times", "ok"],
        ["replies scored", "-", "-", "90 %", "ok"],
    ]


def test_tables_say_it_all_in_80_columns(toy: Path) -> None:
    text = superalign("show", str(toy), "--full").stdout
    assert max(len(line) for line in text.splitlines() if str(toy) not in line) <= 80
    assert "\x1b" not in text
    for words in (
        "-- the base model -", "- promoted --", "- kept out --", "- not finished --", "3: 2 best_worst, 1 critic",
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
    assert rounds_in_full(run).startswith("-- the base model ")


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
    text = superalign("show", str(attacked), "--full").stdout
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
    text = rounds_in_full(run.model_copy(update={"rounds": (*run.rounds[:2], second)}))
    words = " ".join(text.split())
    assert "complied with harm, % 1 2 (none) 67 67" in words
    assert "asked about 30 answers, 12 judged" in words
    assert "attacker kept out: no rise" in words
    assert "compliance with harmful requests fell 90.3 points by the critic, fell 88.0 points by the judge" in words
    assert words.count("ALARM") == 1
    assert "ALARM: the critic sees more gain (+43.3 points" in words


def test_a_run_without_rounds_has_words(toy: Path) -> None:
    empty = RunSummary(path="x", name="x", current=None, rounds=())
    assert verdict(empty) == "Nothing has been played yet."


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
