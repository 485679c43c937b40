"""Files of rows -> rows that know their line: YAML, JSONL, CSV and txt."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import NamedTuple

from superalign.errors import PromptFileError
from superalign.prompts import Faults, load_yaml_with_lines, nearest, read_text

TOP_KEYS = ("suite", "items", "about", "source", "license")


class Row(NamedTuple):
    """One item of a file."""

    line: int
    """Where it begins, from 1."""
    values: dict[str, object]


class Table(NamedTuple):
    """A file's rows."""

    name: str
    """`suite:` of a YAML file, else the file's name without its ending."""
    rows: list[Row]
    strict: bool
    """Whether the file is in superalign's own format, in which an unknown key is a mistake."""


def read_table(path: Path) -> Table:
    """All rows of a file, by its ending; raises PromptFileError with every faulty line."""
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _read_yaml(path)
    if suffix in (".jsonl", ".ndjson"):
        rows = _read_jsonl(path)
    elif suffix == ".csv":
        rows = _read_csv(path)
    elif suffix == ".txt":
        lines = read_text(path).split("\n")
        rows = [Row(i, {"prompt": line.strip()}) for i, line in enumerate(lines, 1) if line.strip()]
    else:
        raise PromptFileError(f"{path}: can't read a file that ends with {suffix!r}", "use .yaml, .jsonl, .csv or .txt")
    return Table(path.stem, rows, strict=False)


def _read_yaml(path: Path) -> Table:
    document, faults = load_yaml_with_lines(path), Faults()
    data = document.data
    if not isinstance(data, dict):
        raise PromptFileError(f"{path}:1: no suite", "write `suite: NAME` and `items:` with a list")
    for key in data:
        if key not in TOP_KEYS:
            faults.add(path, document.line((str(key),)), f"unknown key {key}", nearest(str(key), TOP_KEYS))
    items = data.get("items")
    if not isinstance(items, list) or not items:
        faults.add(path, document.line(("items",)), "no items", "write `items:` with a list of at least one")
    rows: list[Row] = []
    for index, item in enumerate(items if isinstance(items, list) else ()):
        line = document.line(("items", index))
        if isinstance(item, dict):
            rows.append(Row(line, {str(key): value for key, value in item.items()}))
        else:
            faults.add(path, line, "not an item", "write a mapping with `id:` and its text")
    faults.raise_if_any()
    return Table(str(data.get("suite", path.stem)), rows, strict=True)


def _read_jsonl(path: Path) -> list[Row]:
    faults, rows = Faults(), []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except json.JSONDecodeError as error:
            faults.add(path, number, f"not JSON: {error.msg} at column {error.colno}")
            continue
        if isinstance(values, dict):
            rows.append(Row(number, values))
        else:
            faults.add(path, number, "not a JSON object")
    faults.raise_if_any()
    return rows


def _read_csv(path: Path) -> list[Row]:
    faults, rows = Faults(), []
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header: list[str] | None = None
    line = 1  # of the row's first line: a quoted cell may hold several
    try:
        for cells in reader:
            if header is None:
                header = [cell.strip() for cell in cells]
            elif any(cells):
                if len(cells) != len(header):
                    cure = "quote a cell that holds commas"
                    faults.add(path, line, f"{len(cells)} cells under {len(header)} columns", cure)
                rows.append(Row(line, dict(zip(header, cells, strict=False))))
            line = reader.line_num + 1
    except csv.Error as error:
        faults.add(path, line, f"not CSV: {error}")
    faults.raise_if_any()
    return rows
