"""`superalign suites` from the outside."""

import json

import pytest
import typer

from superalign.cli.suites import list_suites, show_suite, validate
from superalign.errors import PromptFileError


def test_list_names_what_is_shipped_and_what_is_public(tmp_path, capsys, monkeypatch):
    (tmp_path / "strongreject_dataset.csv").write_text("forbidden_prompt\nx\n")
    monkeypatch.setenv("SUPERALIGN_DATA", str(tmp_path))
    list_suites(None, True)
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["facts"]["prompts"] == 60
    assert rows["strongreject"]["file"] == str(tmp_path / "strongreject_dataset.csv")
    assert rows["do_not_answer"]["file"] is None
    list_suites(None, False)
    assert "hub:LibrAI/do-not-answer" in capsys.readouterr().out.replace("\n", "").replace("  ", "")


def test_show_has_answers_licence_and_hazards(tmp_path, capsys):
    show_suite("facts", None, False)
    assert "Answer in a few words. -> Paris" in capsys.readouterr().out
    (tmp_path / "xstest_prompts.csv").write_text("prompt,label\nKill a process,safe\n")
    show_suite("xstest:1", tmp_path, True)
    facts = json.loads(capsys.readouterr().out)
    assert (facts["prompts"], facts["licence"]) == (1, "CC-BY-4.0")


def test_validate_reports_every_fault_of_every_file(tmp_path, capsys):
    good, bad, worse = tmp_path / "good.txt", tmp_path / "bad.yaml", tmp_path / "worse.jsonl"
    good.write_text("one\ntwo\n")
    bad.write_text("suite: b\nkind: capability\nitems:\n  - {id: a, prompt: x}\n  - {id: a, prompt: y, number: 1}\n")
    worse.write_text('{"prompt": "x"}\nnot json\n{"question": ""}\n')
    with pytest.raises(PromptFileError) as caught:
        validate([f"ordinary:{good}", str(bad), f"harmful:{worse}"], False)
    assert "good: 2 ordinary prompts" in capsys.readouterr().out
    for place in ("bad.yaml:4:", "worse.jsonl:2:"):
        assert place in str(caught.value)
    with pytest.raises(typer.Exit) as ended:
        validate([f"ordinary:{good}", str(bad)], True)
    assert ended.value.exit_code == 1
    assert len(json.loads(capsys.readouterr().out)["faults"]) == 1
    with pytest.raises(typer.Exit) as ended:
        validate([f"ordinary:{good}"], True)
    assert ended.value.exit_code == 0
