"""Tables that others wrote -> rows that know their line: JSONL, CSV and TSV."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import NamedTuple

from superalign.files.yaml_lines import Faults, read_text


class Row(NamedTuple):
    """One item of a file."""

    line: int
    """Where it begins, from 1."""
    values: dict[str, object]


def read_jsonl(path: Path, faults: Faults) -> list[Row]:
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
    return rows


def read_csv(path: Path, faults: Faults, delimiter: str = ",") -> list[Row]:
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
    return rows
