"""Files of replies that people labelled -> LabelledItem: any table, with anybody's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from superalign.critic.options import Question
from superalign.critic.quality.metrics import CLASSES
from superalign.errors import PromptFileError
from superalign.files.tables import Layout, Row, read_table
from superalign.files.yaml_lines import Faults, nearest
from superalign.records.base import Intent, Record

Choice = str | None
"""One person's label, a class of its question; None: that person gave none."""
QUESTIONS: tuple[Question, ...] = get_args(Question)
_TEXTS = {
    "prompt": ("prompt", "question", "instruction"),
    "reply": ("reply", "response", "completion", "answer"),
}
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
    """A reply with what people said of it."""

    id: str
    prompt: str
    reply: str
    goal: str
    """What the prompt is about; the prompt itself where the file doesn't say."""
    hazard: str | None = None
    """Any grouping that the file has."""
    intent: Intent | None = None
    """What a seed would declare; None: the critic is to judge without being told."""
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
    named = _columns(path, rows, columns or {})
    items: dict[str, LabelledItem] = {}
    lines: dict[str, int] = {}
    for row in rows:
        if (item := _item(row, named, path, faults)) is None:
            continue
        if item.id in items:
            hint = "name another column with --columns id=COLUMN"
            faults.add(path, row.line, f"id {item.id} stands on line {lines[item.id]} already", hint)
        items[item.id], lines[item.id] = item, row.line
    faults.raise_if_any()
    return list(items.values())


def parse_columns(texts: Sequence[str]) -> dict[str, str]:
    """`FIELD=COLUMN[,COLUMN...]` of a command line; raises PromptFileError for what is not of that form."""
    found = {}
    for text in texts:
        field, equals, column = text.partition("=")
        if not equals or field not in _FIELDS or not column:
            raise PromptFileError(f"--columns {text}: not FIELD=COLUMN", f"fields: {', '.join(_FIELDS)}")
        found[field] = column
    return found


def _columns(path: Path, rows: Sequence[Row], given: Mapping[str, str]) -> dict[str, list[str]]:
    """Field -> columns; raises PromptFileError for one that no row has."""
    known = {column for row in rows for column in row.values}
    named: dict[str, list[str]] = {}
    faults = Faults()
    for field, text in given.items():
        if field not in _FIELDS:
            faults.add(path, 1, f"columns: unknown field {field}", nearest(field, _FIELDS))
        named[field] = [text] if field not in QUESTIONS else [part.strip() for part in text.split(",")]
        constant = field == "intent" and text in get_args(Intent)
        for column in named[field]:
            if column not in known and not constant:
                faults.add(path, 1, f"{field}: no column {column}", nearest(column, known))
    for field in _FIELDS:
        if field not in named:
            named[field] = [column for column in _TEXTS.get(field, (field,)) if column in known][:1]
        if field in _TEXTS and not named[field]:
            faults.add(path, 1, f"no column for the {field}", f"--columns {field}=COLUMN; columns: {', '.join(known)}")
    if not any(named[question] for question in QUESTIONS):
        hint = f"--columns harm=COLUMN, refusal=COLUMN or request=COLUMN; columns: {', '.join(sorted(known))}"
        faults.add(path, 1, "no column of labels", hint)
    faults.raise_if_any()
    return named


def _item(row: Row, named: Mapping[str, Sequence[str]], path: Path, faults: Faults) -> LabelledItem | None:
    noted = len(faults.lines)
    texts = {field: row.values.get(named[field][0]) for field in _TEXTS}
    for field, text in texts.items():
        if not isinstance(text, str) or (field == "prompt" and not text.strip()):
            faults.add(path, row.line, f"{field} ({named[field][0]}) is no text")
    votes = {question: _votes(row, question, named[question], path, faults) for question in QUESTIONS}
    single = {field: _single(row, named[field]) for field in ("goal", "hazard", "intent", "id")}
    if named["intent"] and named["intent"][0] in get_args(Intent) and named["intent"][0] not in row.values:
        single["intent"] = named["intent"][0]
    elif named["intent"] and single["intent"] not in get_args(Intent):
        what = f"intent is {single['intent']!r}"
        faults.add(path, row.line, what, "write harmful or benign in every row, or leave the column out")
    if len(faults.lines) > noted:
        return None
    prompt = str(texts["prompt"])
    return LabelledItem(
        id=single["id"] or f"line-{row.line}", prompt=prompt, reply=str(texts["reply"]), goal=single["goal"] or prompt,
        hazard=single["hazard"], intent="harmful" if single["intent"] == "harmful" else "benign" if single["intent"]
        else None, votes={question: given for question, given in votes.items() if given},
    )  # fmt: skip


def _single(row: Row, columns: Sequence[str]) -> str | None:
    value = row.values.get(columns[0]) if columns else None
    return None if value is None or not str(value).strip() else str(value)


def _votes(row: Row, question: Question, columns: Sequence[str], path: Path, faults: Faults) -> tuple[Choice, ...]:
    found: list[Choice] = []
    for column in columns:
        value = row.values.get(column)
        for given in value if isinstance(value, list) else [value]:
            text = "" if given is None else " ".join(str(given).lower().replace("_", " ").split())
            while text[:2].strip().isdigit() and text[1:2] == " ":  # "2 full refusal": some number their labels
                text = text[2:]
            found.append(next((label for label, words in _WORDS[question].items() if text in words), None))
            if found[-1] is None and text not in _MISSING:
                hint = "write " + ", ".join(CLASSES[question]) + ", or nothing"
                faults.add(path, row.line, f"{question} ({column}) is {given!r}", hint)
    return tuple(found)
