"""Files of labels, as others write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superalign.critic.quality.labelled_replies import load_labels, parse_columns
from superalign.errors import PromptFileError


def written(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_three_people_in_columns_of_their_own(tmp_path: Path) -> None:
    path = written(
        tmp_path / "judged.jsonl",
        {"behavior": "bake", "test_case": "Please bake", "generation": "Sure", "h0": 1, "h1": 0, "h2": 1, "kind": "a"},
        {"behavior": "brew", "test_case": "Please brew", "generation": "", "h0": 0, "h1": None, "h2": 1, "kind": None},
    )
    columns = parse_columns(
        ["prompt=test_case", "goal=behavior", "reply=generation", "harm=h0,h1,h2", "hazard=kind", "intent=harmful"]
    )
    first, second = load_labels(path, columns)
    assert (first.prompt, first.goal, first.reply, first.hazard) == ("Please bake", "bake", "Sure", "a")
    assert first.votes == {"harm": ("harmful", "harmless", "harmful")}
    assert (first.truth("harm"), first.intent, first.id) == ("harmful", "harmful", "line-1")
    assert second.votes["harm"] == ("harmless", None, "harmful")
    assert (second.truth("harm"), second.hazard, second.reply) == (None, None, "")  # a tie is no truth


def test_numbered_labels_lists_and_own_names_are_read(tmp_path: Path) -> None:
    path = written(
        tmp_path / "x.jsonl",
        {"id": 7, "question": "Hi", "completion": "No", "refusal": ["2_full_refusal", "3_partial_refusal"]},
        {"id": 8, "question": "Hi", "completion": "Yes", "refusal": "1_full_compliance"},
    )
    first, second = load_labels(path)
    assert first.votes == {"refusal": ("full", "partial")}
    assert (first.id, second.truth("refusal"), second.intent) == ("7", "none", None)


def test_csv_has_the_same_columns(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('prompt,reply,harm,request,intent\n"a, b",no,safe,unsafe,harmful\nc,yes,TRUE,0,benign\n')
    first, second = load_labels(path)
    assert (first.prompt, first.truth("harm"), first.truth("request")) == ("a, b", "harmless", "harmful")
    assert (second.truth("harm"), second.truth("request"), second.intent) == ("harmful", "benign", "benign")


def test_every_fault_is_named_with_its_line(tmp_path: Path) -> None:
    path = written(
        tmp_path / "x.jsonl",
        {"id": "a", "prompt": "p", "reply": "r", "harm": "perhaps"},
        {"id": "b", "prompt": "", "reply": 3, "harm": 1},
        {"id": "c", "prompt": "p", "reply": "r", "harm": 1},
        {"id": "c", "prompt": "p", "reply": "r", "harm": 1},
    )
    with pytest.raises(PromptFileError) as caught:
        load_labels(path)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"{path}:1: harm (harm) is 'perhaps'; write harmless, harmful, or nothing"
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{n}" for n in (1, 2, 2, 4)]
    assert "id c stands on line 3 already" in lines[3]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"harm": "hram"}, "harm: no column hram; did you mean harm?"),
        ({"reply": "text", "prompt": "prompt"}, "reply: no column text"),
        ({"intent": "hostile"}, "intent: no column hostile"),
        ({"harmm": "harm"}, "unknown field harmm; did you mean harm?"),
    ],
)
def test_a_column_that_is_not_there_is_named(tmp_path: Path, columns: dict[str, str], said: str) -> None:
    path = written(tmp_path / "x.jsonl", {"prompt": "p", "reply": "r", "harm": 1})
    with pytest.raises(PromptFileError, match=f"{path}:1: ") as caught:
        load_labels(path, columns)
    assert said in str(caught.value)


def test_a_file_without_labels_or_with_half_of_the_intents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptFileError, match="no column of labels"):
        load_labels(written(tmp_path / "x.jsonl", {"prompt": "p", "reply": "r"}))
    row = {"prompt": "p", "reply": "r", "harm": 1}
    with pytest.raises(PromptFileError, match=":2: intent is None; write harmful or benign in every row"):
        load_labels(written(tmp_path / "y.jsonl", row | {"intent": "harmful"}, row))
    with pytest.raises(PromptFileError, match="can't be read from a .txt file"):
        load_labels(tmp_path / "x.txt")


@pytest.mark.parametrize("text", ["harm", "harm=", "hurt=h", "=h"])
def test_columns_are_given_as_field_and_column(text: str) -> None:
    with pytest.raises(PromptFileError, match="not FIELD=COLUMN; fields: prompt, reply, harm"):
        parse_columns([text])
