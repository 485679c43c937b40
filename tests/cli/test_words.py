"""What the command line makes of what was typed, and of what went wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from superalign.analysis.summary import summarise
from superalign.cli.evaluate import sources
from superalign.cli.exit import StoppedError, ended, message
from superalign.cli.format import counts, interval, seconds
from superalign.errors import PoolError, PromptFileError, RecipeError
from superalign.records.evaluation import Interval
from superalign.standalone.export_checkpoint import card
from superalign.store.run_folder import RunFolder


def test_suites_with_kind_name_and_number() -> None:
    found = sources(["harmful:hb=data/h.jsonl:60", "ordinary:o.txt", "lookalike", "xs=x.csv"], [], 400)
    assert [(s.kind, s.name, s.file, s.limit, s.max_chars) for s in found] == [
        ("harmful", "hb", "data/h.jsonl", 60, 400),
        ("ordinary", None, "o.txt", None, 400),
        (None, None, "lookalike", None, 400),
        (None, "xs", "x.csv", None, 400),
    ]


def test_a_number_of_prompts_of_a_suite_that_bears_a_kinds_name() -> None:
    [found] = sources(["harmful:24"], [])
    assert (found.kind, found.file, found.limit) == (None, "harmful", 24)


def test_filters_of_one_suite_and_of_all() -> None:
    where = ("hb:kind=standard", "label!=unsafe", "xs:type=!fiction: a")
    hb, xs = sources(["hb=h.jsonl", "xs=x.csv"], where)
    assert hb.where == {"label": "!unsafe", "kind": "standard"}
    assert xs.where == {"label": "!unsafe", "type": "!fiction: a"}
    with pytest.raises(PromptFileError, match=r"--where hbb:.*no suite of that name; named suites: hb"):
        sources(["hb=h.jsonl"], ["hbb:kind=standard"])


def test_one_fault_is_a_line_and_several_are_a_list() -> None:
    assert message(RecipeError("r.yaml:3: name: is missing", "add it")) == "error: r.yaml:3: name: is missing; add it"
    assert message(RecipeError("a:1: x\na:2: y")) == "error: 2 faults\n  a:1: x\n  a:2: y"


def test_an_error_in_a_task_group_is_unpacked(capsys: pytest.CaptureFixture[str]) -> None:
    inner = ExceptionGroup("g", [PoolError("the engine died", "see its log"), PoolError("again")])
    assert ended(ExceptionGroup("g", [inner])) == 1
    assert capsys.readouterr().err == "error: the engine died; see its log\n"
    with pytest.raises(ExceptionGroup):
        ended(ExceptionGroup("g", [PoolError("x"), KeyError("a bug")]))


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPERALIGN_DEBUG", "1")
    with pytest.raises(PoolError):
        ended(PoolError("x"))


def test_exit_status_of_a_signal(capsys: pytest.CaptureFixture[str]) -> None:
    assert (ended(StoppedError(2, "superalign resume r")), ended(StoppedError(15))) == (130, 143)
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.04, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_seconds(value: float, text: str) -> None:
    assert seconds(value) == text


def test_counts_and_rates() -> None:
    assert counts({"revision": 16, "best_worst": 44}) == "60: 44 best_worst, 16 revision"
    assert counts({str(i): 1 for i in range(8)}).endswith(", 2 others")
    assert interval(Interval(rate=0.0, low=0.0, high=1.0, n=0)) == "nothing scored"


def test_the_card_knows_its_lineage(toy: Path) -> None:
    with RunFolder.open(toy, read_only=True) as folder:
        facts = card(folder, summarise(folder), folder.current(), "aligned")
    assert (facts.checkpoint, facts.license, facts.run) == ("round-001", "apache-2.0", "toy")
    assert facts.evaluation is not None
    assert facts.baseline is not None
    assert [(step.number, step.promoted, step.num_examples) for step in facts.rounds] == [(1, True, 4), (2, False, 4)]
    assert facts.pairs == {"best_worst": 2, "critic": 1, "expert": 1}  # of the ancestors, not of the refused round
