"""One reader for every table: each format gives the same rows with their lines, and each consumer reads each format."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superalign.config.hazards_file import load_hazards
from superalign.critic.quality.labelled_replies import load_labels
from superalign.errors import PromptFileError
from superalign.evaluation.load_suites import load_suite
from superalign.evaluation.options import SuiteSource
from superalign.files.demonstrations import load_experts
from superalign.files.tables import FORMATS, Layout, Row, chosen, column_of, read_table
from superalign.files.yaml_lines import Faults

ROWS = [{"id": "a", "prompt": "one"}, {"id": "b", "prompt": "two"}]
LINES = "\n".join(map(json.dumps, ROWS))


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("t.yaml", "about: x\nitems:\n  - {id: a, prompt: one}\n  - {id: b, prompt: two}\n", [3, 4]),
        ("t.yml", "- {id: a, prompt: one}\n\n- id: b\n  prompt: two\n", [1, 3]),
        ("t.json", json.dumps({"about": "[", "items": ROWS}, indent=1), [4, 8]),
        ("t.json", json.dumps({"lists": {"no": [1]}, "rows": ROWS}), [1, 1]),  # its only list
        ("t.json", "[\n" + LINES.replace("\n", ",\n") + "\n]", [2, 3]),
        ("t.json", LINES, [1, 2]),  # lines of JSON under another ending
        ("t.JSONL", LINES + "\n\n", [1, 2]),
        ("t.ndjson", LINES, [1, 2]),
        ("t.csv", "id,prompt\na,one\nb,two\n", [2, 3]),
        ("t.tsv", "id\tprompt\na\tone\nb\ttwo\n", [2, 3]),
    ],
)
def test_every_format_gives_the_same_rows(tmp_path: Path, name: str, text: str, lines: list[int]) -> None:
    faults = Faults()
    rows = read_table(put(tmp_path, name, text), faults, Layout("items")).rows
    assert faults.lines == []
    assert [dict(row.values) for row in rows] == ROWS
    assert [row.line for row in rows] == lines


def test_texts_alone_are_rows_where_a_reader_names_their_column(tmp_path: Path) -> None:
    layout = Layout("items", text="prompt", comment="#")
    for name, text in (("t.txt", "# no\none\n\ntwo\n"), ("t.json", '["one", "two"]'), ("t.yaml", "- one\n- two\n")):
        faults = Faults()
        rows = read_table(put(tmp_path, name, text), faults, layout).rows
        assert ([row.values for row in rows], faults.lines) == ([{"prompt": "one"}, {"prompt": "two"}], [])
    with pytest.raises(PromptFileError, match="can't be read from a .txt file; use .yaml, .*csv, .tsv$"):
        read_table(tmp_path / "t.txt", Faults(), Layout("items"))


def test_single_values_have_lines_in_yaml_and_nan_in_json_does_no_harm(tmp_path: Path) -> None:
    [row] = read_table(put(tmp_path, "t.yaml", "items:\n- id: a\n  prompt: one\n"), Faults(), Layout("items")).rows
    assert (row.line_of(("prompt", 0)), row.line_of(("other",)), row.line_of(())) == (3, 2, 2)
    rows = read_table(put(tmp_path, "t.json", '[{"x": NaN},\n {"x": [1]}]'), Faults(), Layout("items")).rows
    assert [row.line for row in rows] == [1, 2]


def test_faults_of_documents(tmp_path: Path) -> None:
    faults, layout = Faults(), Layout("items", beside=("about",))
    read_table(put(tmp_path, "t.yaml", "abuot: x\nitems: 3\n"), faults, layout)
    read_table(put(tmp_path, "u.json", '{"items": [\n1]}'), faults, layout)
    assert [line.removeprefix(f"{tmp_path}/") for line in faults.lines] == [
        "t.yaml:1: unknown key abuot; did you mean about?",
        "t.yaml:2: no list of items; write `items:` and below it a list of at least one",
        "u.json:2: no mapping",
    ]


def test_rows_and_columns_are_chosen_in_one_way(tmp_path: Path) -> None:
    rows = [Row(line, {"Q": f"q{line}", "kind": "odd" if line % 2 else "even"}) for line in range(1, 21)]
    path, faults = tmp_path / "t.csv", Faults()
    kept = chosen(rows, path, faults, columns={"prompt": "Q"}, where={"kind": "!odd"}, limit=4)
    assert kept == chosen(rows, path, faults, columns={"prompt": "Q"}, where={"kind": "even"}, limit=4)
    assert len(kept) == 4
    assert all(row.line % 2 == 0 and row.values["prompt"] == row.values["Q"] for row in kept)
    assert chosen(rows, path, faults, columns={"prompt": "q", "id": "Label"}, where={"knd": "odd"}) == []
    assert [line.partition("csv:")[2] for line in faults.lines] == [
        "1: no column q for prompt; known: Q, kind",
        "1: no column Label for id; known: Q, kind",
        "1: `where` names a column knd that is not there; did you mean kind?",
    ]
    assert column_of(["Text", "Goal"], ("goal", "text")) == "Goal"
    assert column_of(["Text"], ("goal",)) is None


def test_each_reader_takes_each_format_that_can_hold_its_rows(tmp_path: Path) -> None:
    expert = {"id": "a", "prompt": "p", "reply": "r", "intent": "harmful", "hazard": "hate"}
    labelled = {"prompt": "p", "reply": "r", "harm": "1"}
    for name, text in (("t.jsonl", "{}"), ("t.json", "[{}]"), ("t.yaml", "[{}]")):
        experts = load_experts(put(tmp_path, name, text.replace("{}", json.dumps(expert))))
        labels = load_labels(put(tmp_path, name, text.replace("{}", json.dumps(labelled))))
        prompts = put(tmp_path, name, text.replace("{}", '{"prompt": "p"}'))
        suite = load_suite(SuiteSource(file=name, kind="harmful"), prompts)
        put(tmp_path, name, text.replace("{}", '{"name": "gardening", "goals": ["g"]}'))
        assert [expert.kind for expert in experts] == ["harmful"]
        assert [item.truth("harm") for item in labels] == ["harmful"]
        assert [item.prompt for item in suite.items] == ["p"]
        assert [hazard.name for hazard in load_hazards(name, tmp_path)] == ["gardening"]
    assert load_experts(put(tmp_path, "t.csv", "id,prompt,reply,intent,hazard\na,p,r,benign,\n"))[0].kind == "ordinary"
    with pytest.raises(PromptFileError, match=r"t\.jsonl:2: demonstration a is given twice"):
        load_experts(put(tmp_path, "t.jsonl", f"{json.dumps(expert)}\n{json.dumps(expert)}\n"))
    assert {".yaml", ".json", ".jsonl", ".csv", ".tsv", ".txt"} <= set(FORMATS)
