"""Labels that people made elsewhere: out, back in, and every fault with its line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from superalign.review.labels import LabelJournal, standing
from superalign.store import manifest
from tests.review.toys import called as superalign
from tests.review.toys import exchange, label, make_run, verdict


@pytest.fixture
def run(tmp_path: Path) -> Path:
    replies = ["Sure.", "=HYPERLINK(1)", 'Two\nlines, "quoted"']
    played = [exchange(n, verdict(0.4), verdict(0.4), reply=reply) for n, reply in enumerate(replies)]
    make_run(tmp_path / "run", played)
    return tmp_path / "run"


def written(path: Path) -> list[tuple[str, str, str | None, bool | None, bool | None, str | None]]:
    counts = standing(LabelJournal(path).read())
    return sorted(
        (s.exchange, s.author, s.judgement, s.harmful_request, s.harmful_reply, s.better)
        for said in counts.values() for s in said.values()
    )  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_what_goes_out_comes_back_filled_in_and_only_once(run: Path, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"labels.{form}"
    assert "3 rows" in superalign("review", str(run), "--export", str(file)).stdout
    if form == "jsonl":
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    else:
        rows = list(csv.DictReader(file.read_text().splitlines(keepends=True)))
    assert {row["exchange"] for row in rows} == {f"r001/s0{n}/0" for n in range(3)}
    assert not any("rationale" in row or "critic" in row for row in rows)
    for row in rows[:2]:
        row |= {"judgement": "Refused", "harmful_request": "yes", "better": "No.", "author": "ben"}
    if form == "jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with file.open("w", newline="") as out:
            writer = csv.DictWriter(out, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    assert superalign("review", str(run), "--import", str(file)).stdout.startswith("2 new labels")
    assert [line[1:] for line in written(run)] == [("ben", "refused", True, False, "No.")] * 2
    assert superalign("review", str(run), "--import", str(file)).stdout.startswith("0 new labels")
    again = tmp_path / f"again.{form}"
    superalign("review", str(run), "--export", str(again))
    assert superalign("review", str(run), "--import", str(again)).stdout.startswith("0 new labels")
    assert manifest.verify(run) == []


def test_a_changed_row_is_a_new_label_of_the_same_author(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    for judgement in ("refused", "complied", "refused"):
        file.write_text(json.dumps({"exchange": "r001/s00/0", "answer": 0, "judgement": judgement}) + "\n")
        assert superalign("review", str(run), "--import", str(file), "--author", "ben").stdout.startswith("1 new")
    assert len(LabelJournal(run).read()) == 3
    assert [line[:3] for line in written(run)] == [("r001/s00/0", "ben", "refused")]


def test_a_cell_that_a_spreadsheet_would_run_is_made_text_and_back(run: Path, tmp_path: Path) -> None:
    LabelJournal(run).append([label(1, "refused", better="=1+1", harmful_request=True, harmful_reply=False)])
    file = tmp_path / "labels.csv"
    superalign("review", str(run), "--export", str(file))
    cells = [cell for row in csv.reader(file.read_text().splitlines(keepends=True)) for cell in row]
    assert "'=HYPERLINK(1)" in cells
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert superalign("review", str(run), "--import", str(file)).stdout.startswith("0 new")


def test_a_row_of_argilla_with_several_responses_is_several_labels(run: Path, tmp_path: Path) -> None:
    row = {
        "exchange": "r001/s02/0", "answer": 1,
        "judgement.responses": ["refused", "complied", None], "judgement.responses.users": ["u1", "u2", "u3"],
        "harmful_request.responses": ["yes", "no", None],
    }  # fmt: skip
    file = tmp_path / "argilla.jsonl"
    file.write_text(json.dumps(row) + "\n")
    assert superalign("review", str(run), "--import", str(file)).stdout.startswith("2 new")
    assert [line[1:5] for line in written(run)] == [("u1", "refused", True, False), ("u2", "complied", False, False)]


def test_every_fault_is_named_with_its_line_and_nothing_is_taken(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(
        "exchange,answer,judgement,harmful_request\n"
        "r001/s00/0,0,refused,yes\n"
        "r001/s77/0,0,refused,\n"
        "r001/s00/0,2,refused,\n"
        "r001/s01/0,0,refusd,\n"
        "r001/s01/0,1,refused,perhaps\n"
        "r001/s00/0,0,complied,\n"
        "r001/s02/0,0,,nonsense\n"
    )
    done = superalign("review", str(run), "--import", str(file), "--author", "ben")
    assert done.returncode == 1
    for words in (
        "labels.csv:3: exchange 'r001/s77/0' is none of this run", "labels.csv:4: answer '2': r001/s00/0 has 2",
        "labels.csv:5: judgement 'refusd'; did you mean refused?", "labels.csv:6: harmful_request 'perhaps'",
        "labels.csv:7: ben judged this answer on line 2 as well", "error: 5 faults",
    ):  # fmt: skip
        assert words in done.stderr, words
    assert LabelJournal(run).read() == []


def test_the_verdict_is_a_column_only_where_it_may_be_seen_before(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    superalign("review", str(run), "--export", str(file), "--reveal", "before")
    assert json.loads(file.read_text().splitlines()[0])["critic"] == "complied"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--author", " "], "say --author NAME"),
        (["--host", "256.1.1.1"], "name another --port or --host"),
        (["--import", "nowhere.jsonl"], "check the path"),
        (["--export", "/nowhere/at/all.jsonl"], "name another --export"),
    ],
)
def test_what_can_not_be_is_one_line(run: Path, words: list[str], said: str) -> None:
    done = superalign("review", str(run), *words)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
