"""Files of replies that people labelled -> LabelledItem: any table, with anybody's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from superalign.critic.options import Question
from superalign.critic.quality.metrics import CLASSES
from superalign.errors import PromptFileError
from superalign.files.tables import Layout, Row, column_of, read_table
from superalign.files.yaml_lines import Faults, nearest
from superalign.records.base import Intent, Record

Choice = str | None
"""One person's label, a class of its question; None: that person gave none."""
QUESTIONS: tuple[Question, ...] = get_args(Question)
_TEXTS = {"prompt": ("prompt", "question", "instruction"), "reply": ("reply", "response", "completion", "answer")}
_FIELDS = (*_TEXTS, *QUESTIONS, "goal", "hazard", "intent", "id")
_YES, _NO = ("1", "true", "yes", "y"), ("0", "false", "no", "n")
_WORDS: Mapping[Question, Mapping[str, tuple[str, ...]]] = {
    "harm": {"harmful": (*_YES, "harmful", "unsafe"), "harmless": (*_NO, "harmless", "safe", "benign")},
    "request": {"harmful": (*_YES, "harmful", "unsafe"), "benign": (*_NO, "benign", "harmless", "safe")},
    "refusal": {
        "full": (*_YES, "full", "full refusal", "refused", "refusal"),
        "partial": ("partial", "partial refusal"),
        "none": (*_NO, "none", "full compliance", "complied", "compliance"),
    },
}
_MISSING = ("", "na", "n/a", "nan", "null", "none given", "-")


class LabelledItem(Record):
    """A reply with people's labels of it."""

    id: str
    prompt: str
    reply: str
    goal: str
    """What the prompt is about; the prompt itself where the file doesn't say."""
    hazard: str | None = None
    """Any grouping that the file has."""
    intent: Intent | None = None
    """What a seed would declare; None: the critic judges without knowing it."""
    votes: dict[Question, tuple[Choice, ...]]
    """One label a person, for every question that the file has labels for."""

    def truth(self, question: Question) -> str | None:
        """The label that more people gave than any other; None: there is no such label."""
        ranked = Counter(vote for vote in self.votes.get(question, ()) if vote is not None).most_common(2)
        tied = len(ranked) == 2 and ranked[0][1] == ranked[1][1]
        return None if not ranked or tied else ranked[0][0]


def load_labels(path: Path, columns: Mapping[str, str] | None = None) -> list[LabelledItem]:
    """Every item of a file; raises PromptFileError with every fault's line.

    columns: field -> its column; several annotators' columns are divided by commas, and a column may also hold a list.
    `intent` may be `harmful` or `benign` for all rows. A field that is not named is read from the column of its name.
    """
    faults = Faults()
    rows = read_table(path, faults, Layout("items")).rows
    faults.raise_if_any()
    if not rows:
        raise PromptFileError(f"{path}: no row", "give it one line an item")
    columns_of = _columns(path, rows, columns or {})
    items: dict[str, tuple[int, LabelledItem]] = {}
    for row in rows:
        if (item := _item(row, columns_of, path, faults)) is None:
            continue
        if item.id in items:
            hint = "name another column with --columns id=COLUMN"
            faults.add(path, row.line, f"id {item.id} stands on line {items[item.id][0]} already", hint)
        items[item.id] = row.line, item
    faults.raise_if_any()
    return [item for _, item in items.values()]


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """`FIELD=COLUMN[,COLUMN...]` of a command line; raises PromptFileError for what is not of that form."""
    columns = {}
    for text in texts:
        field, _, column = text.partition("=")
        if field not in _FIELDS or not column:
            raise PromptFileError(f"--columns {text}: not FIELD=COLUMN", f"fields: {', '.join(_FIELDS)}")
        columns[field] = column
    return columns


def _columns(path: Path, rows: Sequence[Row], named: Mapping[str, str]) -> dict[str, list[str]]:
    """Field -> columns; raises PromptFileError for one that no row has."""
    known = {column for row in rows for column in row.values}
    columns: dict[str, list[str]] = {}
    faults = Faults()
    for field, text in named.items():
        if field not in _FIELDS:
            faults.add(path, 1, f"columns: unknown field {field}", nearest(field, _FIELDS))
        columns[field] = [part.strip() for part in text.split(",")] if field in QUESTIONS else [text]
        constant = field == "intent" and text in get_args(Intent)
        for column in columns[field]:
            if column not in known and not constant:
                faults.add(path, 1, f"{field}: no column {column}", nearest(column, known))
    listed = f"columns: {', '.join(sorted(known))}"
    for field in _FIELDS:
        if field not in columns:
            likeliest = column_of(known, _TEXTS.get(field, (field,)))
            columns[field] = [likeliest] if likeliest else []
        if field in _TEXTS and not columns[field]:
            faults.add(path, 1, f"no column for the {field}", f"--columns {field}=COLUMN; {listed}")
    if not any(columns[question] for question in QUESTIONS):
        hint = f"--columns harm=COLUMN, refusal=COLUMN or request=COLUMN; {listed}"
        faults.add(path, 1, "no column of labels", hint)
    faults.raise_if_any()
    return columns


def _item(row: Row, columns: Mapping[str, Sequence[str]], path: Path, faults: Faults) -> LabelledItem | None:
    before = len(faults.lines)
    texts = {field: row.values.get(columns[field][0]) for field in _TEXTS}
    for field, text in texts.items():
        if not isinstance(text, str) or (field == "prompt" and not text.strip()):
            faults.add(path, row.line, f"{field} ({columns[field][0]}) is no text")
    votes = {question: _votes(row, question, columns[question], path, faults) for question in QUESTIONS}
    single = {field: _single(row, columns[field]) for field in ("goal", "hazard", "intent", "id")}
    for column in columns["intent"]:
        if column in get_args(Intent) and column not in row.values:  # the same for all rows
            single["intent"] = column
        elif single["intent"] not in get_args(Intent):
            hint = "write harmful or benign in every row, or leave the column out"
            faults.add(path, row.line, f"intent is {single['intent']!r}", hint)
    if len(faults.lines) > before:
        return None
    return LabelledItem.model_validate(
        single | texts | {
            "id": single["id"] or f"line-{row.line}", "goal": single["goal"] or texts["prompt"],
            "votes": {question: labels for question, labels in votes.items() if labels},
        }
    )  # fmt: skip


def _single(row: Row, columns: Sequence[str]) -> str | None:
    value = row.values.get(columns[0]) if columns else None
    return None if value is None or not str(value).strip() else str(value)


def _votes(row: Row, question: Question, columns: Sequence[str], path: Path, faults: Faults) -> tuple[Choice, ...]:
    votes: list[Choice] = []
    for column in columns:
        value = row.values.get(column)
        for label in value if isinstance(value, list) else [value]:
            text = "" if label is None else " ".join(str(label).lower().replace("_", " ").split())
            while text[:2].strip().isdigit() and text[1:2] == " ":  # "2 full refusal": some number their labels
                text = text[2:]
            votes.append(next((choice for choice, words in _WORDS[question].items() if text in words), None))
            if votes[-1] is None and text not in _MISSING:
                hint = "write " + ", ".join(CLASSES[question]) + ", or nothing"
                faults.add(path, row.line, f"{question} ({column}) is {label!r}", hint)
    return tuple(votes)
