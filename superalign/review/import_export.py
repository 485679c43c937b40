"""Labels out to those who label elsewhere, and back: JSONL (Argilla's export among it) and CSV (spreadsheets)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from superalign.errors import PromptFileError
from superalign.files.tables import Layout, Row, read_table
from superalign.files.yaml_lines import Faults, nearest
from superalign.records.exchange import Exchange
from superalign.review.labels import Item, Judgement, Label, Standing, harm_follows
from superalign.review.queue import RoundQueue
from superalign.review.session import Reveal, fresh_id, now

Format = Literal["jsonl", "csv"]
ASKED = ("judgement", "harmful_request", "harmful_reply", "better")
"""The columns that a person fills in."""
_JUDGEMENTS: tuple[Judgement, ...] = get_args(Judgement)
_TRUTH = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet runs a cell that begins so; a model may have written it."""


def rows_out(rounds: Sequence[RoundQueue], labels: Standing, reveal: Reveal) -> Iterator[dict[str, object]]:
    """A row for every label that counts, and one to fill in for every item that has none.

    The critic's verdict is a column only where it may be seen before.
    """
    for queue in rounds:
        for item in queue.items:
            exchange = queue.exchanges[item[0]]
            judged: list[Label | None] = [label for label in labels.get(item, {}).values() if label.action == "judge"]
            for label in judged or [None]:
                yield _row(exchange, item, label, reveal)


def write_rows(path: Path, form: Format, rows: Iterator[dict[str, object]]) -> int:
    """Write the rows, and return how many; raises PromptFileError if the file can't be written."""
    listed = list(rows)
    out = io.StringIO(newline="")
    if form == "jsonl":
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in listed)
    elif listed:
        writer = csv.DictWriter(out, listed[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in listed)
    try:
        path.write_bytes(out.getvalue().encode("utf-8", "replace"))
    except OSError as error:
        raise PromptFileError(f"{path}: {error.strerror or error}", "name another --export") from error
    return len(listed)


def read_rows(path: Path, form: Format, exchanges: Mapping[str, int], labels: Standing, author: str) -> list[Label]:
    """The file's labels that say something new; raises PromptFileError with every fault, and then none counts.

    exchanges: id -> how many answers it has; author: of rows that name none.
    """
    faults, new, seen = Faults(), list[Label](), dict[tuple[Item, str], int]()
    for row in _argilla(read_table(path, faults, Layout("items"), f".{form}").rows):
        if not _text(row.values.get("judgement")):
            continue
        label = _label(path, row, exchanges, author, faults)
        if label is None:
            continue
        before = seen.setdefault((label.item, label.author), row.line)
        if before != row.line:
            faults.add(path, row.line, f"{label.author} judged this answer on line {before} as well", "keep one")
        old = labels.get(label.item, {}).get(label.author)
        if old is None or any(getattr(old, name) != getattr(label, name) for name in ASKED):
            new.append(label)
    faults.raise_if_any()
    return new


def _row(exchange: Exchange, item: Item, label: Label | None, reveal: Reveal) -> dict[str, object]:
    answer = exchange.answers[item[1]]
    turns = exchange.attack.messages
    row: dict[str, object] = {
        "exchange": item[0],
        "answer": item[1],
        "conversation": "\n\n".join(f"{turn.role}: {turn.content}" for turn in turns),
        "reply": answer.generation.text,
    }
    if reveal == "before":
        verdict = answer.verdict
        row |= {"critic": verdict.outcome if verdict else "", "rationale": verdict.rationale if verdict else ""}
    row |= {name: _word(getattr(label, name, None)) for name in ASKED}
    return row | {"author": label.author if label else "", "time": label.time if label else ""}


def _label(path: Path, row: Row, exchanges: Mapping[str, int], author: str, faults: Faults) -> Label | None:
    before = len(faults.lines)
    values = {name: _text(value) for name, value in row.values.items()}
    exchange, answer = values.get("exchange", ""), values.get("answer", "") or "0"
    if exchange not in exchanges:
        faults.add(
            path, row.line, f"exchange {exchange!r} is none of this run", "export the rows to label from this run"
        )
    elif not answer.isdecimal() or int(answer) >= exchanges[exchange]:
        faults.add(path, row.line, f"answer {answer!r}: {exchange} has {exchanges[exchange]}", "count from 0")
    judgement = values["judgement"].lower()
    if judgement not in _JUDGEMENTS:
        faults.add(path, row.line, f"judgement {judgement!r}", nearest(judgement, _JUDGEMENTS))
    asks, harm = (_truth(path, row, values, name, faults) for name in ("harmful_request", "harmful_reply"))
    if len(faults.lines) > before:
        return None
    word: Judgement = next(word for word in _JUDGEMENTS if word == judgement)
    if harm is None and asks is not None:
        harm = harm_follows(word, asks)
    author, better = values.get("author", "") or author, _unquoted(values.get("better", "")) or None
    parts = (author, exchange, answer, word, str(asks), str(harm), better or "", now())
    return Label(
        id=fresh_id(*parts), action="judge", exchange=exchange, answer=int(answer), judgement=word,
        harmful_request=asks, harmful_reply=harm, better=better, author=author, time=now(),
    )  # fmt: skip


def _truth(path: Path, row: Row, values: Mapping[str, str], name: str, faults: Faults) -> bool | None:
    word = values.get(name, "").lower()
    if word and word not in _TRUTH:
        faults.add(path, row.line, f"{name} {word!r}", "say yes or no, or leave it empty")
    return _TRUTH.get(word)


def _argilla(rows: Sequence[Row]) -> Iterator[Row]:
    """A row for each person's response, where a row holds several as Argilla writes them; others as they are."""
    for row in rows:
        judgements = row.values.get("judgement.responses")
        if not isinstance(judgements, list):
            yield row
            continue
        people = _listed(row, "judgement.responses.users", len(judgements))
        columns = {name: _listed(row, f"{name}.responses", len(judgements)) for name in ASKED[1:]}
        for index, judgement in enumerate(judgements):
            own = {name: column[index] for name, column in columns.items() if column[index] is not None}
            yield Row(row.line, {**row.values, **own, "judgement": judgement, "author": people[index]})


def _listed(row: Row, name: str, size: int) -> list[object]:
    """A column of responses in step with the judgements; one of another length is not."""
    responses = row.values.get(name)
    return responses if isinstance(responses, list) and len(responses) == size else [None] * size


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()


def _word(value: object) -> object:
    return "" if value is None else {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _unquoted(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
