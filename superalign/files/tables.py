"""Tables, anyone's or superalign's own, whatever their format -> rows that know their lines, and which rows count.

A further format is one function and one entry of `_READERS`. What a row means is for its reader to say: seeds, suites,
labels, expert examples and hazards all come through here.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from superalign.errors import PromptFileError
from superalign.files.yaml_lines import Faults, Loc, Located, load_yaml_with_lines, nearest, read_text
from superalign.seeding import derive_seed

YAML = (".yaml", ".yml", ".prompt")


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    line: int
    """Where it begins, from 1."""
    values: Mapping[str, Any]
    lines: Mapping[str, int] = field(default_factory=dict)
    """Lines of single values, if the format has them."""

    def line_of(self, loc: Loc) -> int:
        """The line of the value at a pydantic location, or the row's."""
        return self.lines.get(str(loc[0]), self.line) if loc else self.line


@dataclass(frozen=True)
class Table:
    """What a file holds."""

    rows: Sequence[Row]
    document: Located | None = None
    """All of a YAML or JSON file; None: another format."""

    @property
    def head(self) -> Mapping[str, Any] | None:
        """The mapping in which a YAML or JSON file has its list of rows; None: the rows are all there is."""
        return self.document.data if self.document and isinstance(self.document.data, dict) else None


@dataclass(frozen=True)
class Layout:
    """What a reader expects of a file."""

    key: str
    """Under which YAML and JSON have the list of rows; a list without a key is a table, too."""
    text: str | None = None
    """The column of a row that is a text alone, such as a line of a .txt file; None: no row is."""
    beside: Collection[str] | None = None
    """Other keys that may stand beside `key`; None: any, and a JSON file's only list may have any key."""
    comment: str | None = None
    """How the lines of a .txt file begin that are no rows."""


R = TypeVar("R", bound=Row)
Model = TypeVar("Model", bound=BaseModel)


def read_table(path: Path, faults: Faults, layout: Layout, format: str | None = None) -> Table:
    """All rows of a file; faulty ones are noted and left out.

    format: an ending, such as `.csv`; None: the file's own. Raises PromptFileError for a file that is not there, is
    empty, is not UTF-8 or has no known format.
    """
    suffix = (format or path.suffix).lower()
    reader = _READERS.get(suffix)
    if reader is None or (reader is _read_txt and layout.text is None):
        known = ", ".join(ending for ending, one in _READERS.items() if one is not _read_txt or layout.text)
        raise PromptFileError(f"{path}: rows can't be read from a {suffix or 'nameless'} file", f"use {known}")
    return reader(path, faults, layout)


def chosen(
    rows: Sequence[R], path: Path, faults: Faults, *, columns: Mapping[Any, str], where: Mapping[str, str],
    limit: int | None = None,
) -> list[R]:  # fmt: skip
    """The rows that count, their values also under our names; a column that no row has is a fault.

    columns: our name -> the file's. where: the file's column -> the value of the rows to keep; `!` before a value keeps
    the rows without it. limit: at most so many of them, a random sample that is the same for files of the same name.
    """
    known = {column for row in rows for column in row.values}
    before = len(faults.lines)
    for name, column in columns.items() if rows else ():
        if column not in known:
            faults.add(path, rows[0].line, f"no column {column} for {name}", nearest(column, known))
    for column in where if rows else ():
        if column not in known:
            what = f"`where` names a column {column} that is not there"
            faults.add(path, rows[0].line, what, nearest(column, known))
    if len(faults.lines) > before:
        return []
    kept = [row for row in rows if all(_keeps(row, *condition) for condition in where.items())]
    if rows and not kept:
        faults.add(path, rows[0].line, "`where` keeps no row", "look at the column's values, or leave it out")
    if limit is not None and len(kept) > limit:
        places = random.Random(derive_seed(0, "limit", path.name)).sample(range(len(kept)), limit)
        kept = [kept[place] for place in sorted(places)]
    return [_renamed(row, columns) for row in kept] if columns else kept


def column_of(columns: Collection[str], names: Sequence[str]) -> str | None:
    """The first of `names` that is a column, whatever the case of its letters; None: none is."""
    folded = {column.lower(): column for column in columns}
    return next((name if name in columns else folded[name] for name in names if name in folded), None)


def record_of(model: type[Model], row: Row, path: Path, faults: Faults) -> Model | None:
    """The row as a record; None: a fault was noted for each value that can't be one."""
    try:
        return model.model_validate(row.values)
    except ValidationError as error:
        faults.add_invalid(path, error, row.line_of)
        return None


def _keeps(row: Row, column: str, value: str) -> bool:
    text = str(row.values.get(column, ""))
    return text != value[1:] if value.startswith("!") else text == value


def _renamed(row: R, columns: Mapping[Any, str]) -> R:
    ours = {name: row.values.get(column) for name, column in columns.items()}
    return replace(row, values={**row.values, **ours})


def _read_document(path: Path, faults: Faults, layout: Layout) -> Table:
    """YAML or JSON."""
    if path.suffix.lower() in YAML:
        document = load_yaml_with_lines(path)
    else:
        text = read_text(path)
        try:
            document = Located(path, json.loads(text), _json_lines(text))
        except json.JSONDecodeError as error:
            if error.msg == "Extra data" and text.lstrip().startswith("{"):  # lines of JSON under another ending
                return _read_jsonl(path, faults, layout)
            raise PromptFileError(f"{path}:{error.lineno}: not JSON: {error.msg}", "check commas and quotes") from None
        except RecursionError:
            raise PromptFileError(f"{path}:1: not JSON: nested too deep") from None
    items, place = _list_of(document, faults, layout)
    if not items:
        hint = f"write `{layout.key}:` and below it a list of at least one"
        faults.add(path, document.line(place), f"no list of {layout.key}", hint)
    rows = []
    for index, item in enumerate(items):
        here = (*place, index)
        values = {layout.text: item} if layout.text and isinstance(item, str) else item
        if not isinstance(values, dict):
            faults.add(path, document.line(here), "a row is a text or a mapping" if layout.text else "no mapping")
            continue
        lines = {str(key): document.lines[*here, str(key)] for key in values if (*here, str(key)) in document.lines}
        rows.append(Row(document.line(here), {str(key): value for key, value in values.items()}, lines))
    return Table(rows, document)


def _list_of(document: Located, faults: Faults, layout: Layout) -> tuple[list[Any], Loc]:
    """A document's list of rows (none, if it has no list), and where it stands."""
    data = document.data
    if not isinstance(data, dict):
        return data if isinstance(data, list) else [], ()
    key = layout.key
    if layout.beside is not None:
        allowed = (key, *layout.beside)
        for other in data:
            if other not in allowed:
                what = f"unknown key {other}"
                faults.add(document.path, document.line((str(other),)), what, nearest(str(other), allowed))
    elif key not in data and document.path.suffix.lower() not in YAML:
        lists = [other for other, value in data.items() if isinstance(value, list)]
        key = lists[0] if len(lists) == 1 else key
    return data[key] if isinstance(data.get(key), list) else [], (key,)


def _json_lines(text: str) -> dict[Loc, int]:
    """The line of each item of a JSON text's list, or of its lists if it is a mapping."""
    decoder, gap = json.JSONDecoder(), re.compile(r"[\s,:]*")
    lines: dict[Loc, int] = {}
    counted, line = 0, 1

    def skip(at: int) -> int:
        match = gap.match(text, at)
        return match.end() if match else at

    def note(at: int, place: Loc) -> int:
        """Note the items of the list that begins at `at`; returns its end."""
        nonlocal counted, line
        at += 1
        for index in count():
            at = skip(at)
            if text[at] == "]":
                break
            counted, line = at, line + text.count("\n", counted, at)
            lines[*place, index] = line
            at = decoder.raw_decode(text, at)[1]
        return at + 1

    at = skip(0)
    if text[at] == "[":
        note(at, ())
    elif text[at] == "{":
        at = skip(at + 1)
        while text[at] != "}":
            key, at = decoder.raw_decode(text, at)
            at = skip(at)
            at = skip(note(at, (key,)) if text[at] == "[" else decoder.raw_decode(text, at)[1])
    return lines


def _read_jsonl(path: Path, faults: Faults, layout: Layout) -> Table:
    """A row for every line that holds a JSON object; other lines are faults."""
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            faults.add(path, number, f"not JSON: {error.msg} at column {error.colno}")
            continue
        except RecursionError:
            faults.add(path, number, "not JSON: nested too deep")
            continue
        if isinstance(values, dict):
            rows.append(Row(number, values))
        else:
            faults.add(path, number, "not a JSON object")
    return Table(rows)


def _read_csv(path: Path, faults: Faults, layout: Layout, delimiter: str = ",") -> Table:
    """A row for every line, or lines where a quoted cell holds several; the first line names the columns."""
    rows: list[Row] = []
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True, delimiter=delimiter)
    header: list[str] | None = None
    line = 1  # of the row's first line
    try:
        for cells in reader:
            if header is None:
                header = [cell.strip() for cell in cells]
                for name in {name for name in header if header.count(name) > 1}:
                    faults.add(path, 1, f"two columns are called {name!r}", "rename one")
            elif any(cells):
                if len(cells) != len(header):
                    hint = "quote a cell that holds commas"
                    faults.add(path, line, f"{len(cells)} cells under {len(header)} columns", hint)
                else:
                    rows.append(Row(line, dict(zip(header, cells, strict=True))))
            line = reader.line_num + 1
    except csv.Error as error:
        faults.add(path, line, f"not CSV: {error}")
    return Table(rows)


def _read_txt(path: Path, faults: Faults, layout: Layout) -> Table:
    lines = [(number, line) for number, line in enumerate(read_text(path).split("\n"), 1) if line.strip()]
    mark = layout.comment
    rows = [Row(n, {str(layout.text): line.strip()}) for n, line in lines if not (mark and line.startswith(mark))]
    return Table(rows)


_READERS: Mapping[str, Callable[[Path, Faults, Layout], Table]] = {
    **dict.fromkeys((*YAML, ".json"), _read_document), ".jsonl": _read_jsonl, ".ndjson": _read_jsonl,
    ".csv": _read_csv, ".tsv": partial(_read_csv, delimiter="\t"), ".txt": _read_txt,
}  # fmt: skip
FORMATS = tuple(_READERS)
"""By the file's ending."""
