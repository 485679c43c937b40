"""Files of rows -> rows that know their line: YAML, JSONL, CSV and txt."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, get_args

from superalign.errors import PromptFileError
from superalign.files.tables import Row, read_csv, read_jsonl
from superalign.files.yaml_lines import Faults, load_yaml_with_lines, nearest, read_text
from superalign.records.base import SuiteKind

TOP_KEYS = ("suite", "kind", "items", "about", "source", "license")


class Table(NamedTuple):
    """A file's rows."""

    name: str
    """`suite:` of a YAML file, else the file's name without its ending."""
    rows: list[Row]
    strict: bool
    """Whether the file is in superalign's own format, in which an unknown key is a mistake."""
    kind: SuiteKind | None = None
    """`kind:` of a YAML file, which files with answer keys and injections need."""


def read_table(path: Path, faults: Faults) -> Table:
    """All rows of a file, by its ending; faulty lines are noted, and PromptFileError is raised for what is no table."""
    suffix = path.suffix.lower()
    if suffix in (".yaml", ".yml"):
        return _read_yaml(path, faults)
    if suffix in (".jsonl", ".ndjson"):
        rows = read_jsonl(path, faults)
    elif suffix in (".csv", ".tsv"):
        rows = read_csv(path, faults, "\t" if suffix == ".tsv" else ",")
    elif suffix == ".txt":
        lines = read_text(path).split("\n")
        rows = [Row(i, {"prompt": line.strip()}) for i, line in enumerate(lines, 1) if line.strip()]
    else:
        raise PromptFileError(
            f"{path}: can't read a file that ends with {suffix!r}", "use .yaml, .jsonl, .csv, .tsv or .txt"
        )
    return Table(path.stem, rows, strict=False)


def _read_yaml(path: Path, faults: Faults) -> Table:
    document = load_yaml_with_lines(path)
    data = document.data
    if not isinstance(data, dict):
        raise PromptFileError(f"{path}:1: no suite", "write `suite: NAME` and `items:` with a list")
    for key in data:
        if key not in TOP_KEYS:
            faults.add(path, document.line((str(key),)), f"unknown key {key}", nearest(str(key), TOP_KEYS))
    kind = data.get("kind")
    if kind is not None and kind not in get_args(SuiteKind):
        faults.add(path, document.line(("kind",)), f"unknown kind {kind}", nearest(str(kind), get_args(SuiteKind)))
        kind = None
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
    return Table(str(data.get("suite", path.stem)), rows, strict=True, kind=kind)
