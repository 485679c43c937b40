"""Files of goals and templates -> entries that know their line, whoever wrote the file."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from superalign.attacker.options import Column, SeedFile
from superalign.attacker.seeds.garak_pyrit import garak, is_garak, is_pyrit, pyrit
from superalign.attacker.seeds.rows import Content, Entry, Template, items_with_lines
from superalign.errors import PromptFileError
from superalign.files.tables import read_csv, read_jsonl
from superalign.files.templates import divide
from superalign.files.yaml_lines import Faults, Located, load_yaml_with_lines, nearest, read_text
from superalign.seeding import derive_seed

GOAL_COLUMNS = ("goal", "prompt", "behavior", "instruction", "text")
FIELDS: tuple[str, ...] = get_args(Column)
_KEYS = {*FIELDS, "lookalikes"}


def read_file(path: Path, file: SeedFile, faults: Faults) -> Content:
    """Everything in one file, after `where`, `columns` and `limit`; faults are noted, PromptFileError ends the file."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise PromptFileError(f"{path}: seeds can't be read from {path.suffix or 'this'}", "use " + ", ".join(READERS))
    before = len(faults.lines)
    content = reader(path, faults)
    entries = [replace(entry, number=number) for number, entry in enumerate(content.entries, 1)]
    if not entries and not content.templates and not content.notices and len(faults.lines) == before:
        faults.add(path, 1, "no goals in it", "fill it or leave it out")
    kept = _filtered(path, entries, file, faults)
    if file.limit is not None and len(kept) > file.limit:
        dice = random.Random(derive_seed(0, "limit", path.name))
        chosen = set(dice.sample(range(len(kept)), file.limit))
        kept = [entry for index, entry in enumerate(kept) if index in chosen]
    if content.table or file.columns:
        kept = _renamed(path, kept, file, faults)
    else:
        for entry in kept:
            for key in entry.values.keys() - _KEYS:
                faults.add(path, entry.lines.get(key, entry.line), f"unknown key {key}", nearest(str(key), _KEYS))
    return replace(content, entries=kept)


def _filtered(path: Path, entries: list[Entry], file: SeedFile, faults: Faults) -> list[Entry]:
    known = {str(column) for entry in entries for column in entry.values}
    unknown = [column for column in file.where if entries and column not in known]
    for column in unknown:
        faults.add(path, entries[0].line, f"`where` names a column {column} that is not there", nearest(column, known))
    kept = [e for e in entries if all(_keeps(e.values.get(column), value) for column, value in file.where.items())]
    if entries and not kept and not unknown:
        faults.add(path, entries[0].line, "`where` keeps no row", "look at the column's values, or leave it out")
    return kept


def _keeps(found: Any, value: str) -> bool:
    return str(found) != value[1:] if value.startswith("!") else str(found) == value


def _renamed(path: Path, entries: list[Entry], file: SeedFile, faults: Faults) -> list[Entry]:
    """The entries under our names; columns that a seed does not know stay out."""
    known = {str(column) for entry in entries for column in entry.values}
    absent = {name: column for name, column in file.columns.items() if entries and column not in known}
    for name, column in absent.items():
        faults.add(path, entries[0].line, f"no column {column} for {name}", f"columns: {', '.join(sorted(known))}")
    names = {name: name for name in FIELDS} | {**file.columns}
    found = []
    for entry in entries if not absent else ():
        row = {name: entry.values[column] for name, column in names.items() if column in entry.values}
        if not {"goal", "turns"} & row.keys():
            goal = next((column for column in GOAL_COLUMNS if column in entry.values), None)
            if goal is None:
                here = ", ".join(map(str, entry.values))
                hint = f"name one of {here} in the recipe: `columns: {{goal: ...}}`"
                faults.add(path, entry.line, f"no column {', '.join(GOAL_COLUMNS)}", hint)
                continue
            row["goal"] = entry.values[goal]
        found.append(replace(entry, values=row))
    return found


def _yaml(path: Path, faults: Faults) -> Content:
    document = load_yaml_with_lines(path)
    if is_pyrit(document.data):
        return pyrit(document)
    rows = document.data.get("seeds") if isinstance(document.data, dict) else document.data
    if not isinstance(rows, list) or not rows:
        raise PromptFileError(f"{path}:1: no list of seeds", "start with `seeds:` and a line `- goal: ...` for each")
    inside: tuple[str | int, ...] = ("seeds",) if isinstance(document.data, dict) else ()
    entries = []
    for index, row in enumerate(rows):
        line = document.line((*inside, index))
        if isinstance(row, str):
            entries.append(Entry(line, {"goal": row}))
        elif isinstance(row, dict):
            lines = {str(key): document.line((*inside, index, str(key))) for key in row}
            if "\n" in str(row.get("template", "")):
                lines["template"] += 1  # a block scalar begins below its key
            entries.append(Entry(line, {str(key): value for key, value in row.items()}, lines))
        else:
            faults.add(path, line, "a seed is a text or a mapping")
    return Content(entries)


def _table(path: Path, faults: Faults) -> Content:
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        rows = read_jsonl(path, faults)
    else:
        rows = read_csv(path, faults, "\t" if suffix == ".tsv" else ",")
    return Content([Entry(row.line, row.values) for row in rows], table=True)


def _json(path: Path, faults: Faults) -> Content:
    text = read_text(path)
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise PromptFileError(f"{path}:{error.lineno}: not JSON: {error.msg}", "check commas and quotes") from None
    except RecursionError:
        raise PromptFileError(f"{path}:1: not JSON: nested too deep") from None
    if is_garak(data):
        return garak(path, text, data, faults)
    lists = [value for value in data.values() if isinstance(value, list)] if isinstance(data, dict) else [data]
    if len(lists) != 1 or not isinstance(lists[0], list):
        raise PromptFileError(f"{path}:1: no list of rows", "write a list of objects or of texts")
    rows = items_with_lines(text, lists[0])
    for line, item in rows:
        if not isinstance(item, str | dict):
            faults.add(path, line, f"a row is an object or a text, not {type(item).__name__}")
    values = [(line, {"goal": item} if isinstance(item, str) else item) for line, item in rows]
    return Content([Entry(line, row) for line, row in values if isinstance(row, dict)], table=True)


def _txt(path: Path, faults: Faults) -> Content:
    lines = enumerate(read_text(path).split("\n"), 1)
    return Content([Entry(n, {"goal": text.strip()}) for n, text in lines if text.strip() and not text.startswith("#")])


def _md(path: Path, faults: Faults) -> Content:
    """A goal, a goal with its template, or a template alone, which is a strategy file."""
    front, body, first = divide(path, read_text(path))
    document = load_yaml_with_lines(path, front, 2) if front.strip() else Located(path, {}, {})
    values = document.data
    if not isinstance(values, dict):
        raise PromptFileError(f"{path}:2: the front matter is no mapping", "write `key: value` lines")
    slots = "{{" in body or "{%" in body
    if slots and "goal" not in values:
        return Content(templates=[Template(path.stem, None)])
    lines = {str(key): document.line((str(key),)) for key in values}
    if not slots:
        if body.strip() and "goal" in values:
            faults.add(path, first, "the body has no slot, and the front matter has the goal", "write {{ goal }} in it")
        return Content([Entry(first, {"goal": body.strip(), **values}, lines)])
    own = {key: value for key, value in values.items() if key in _KEYS}
    meta = {key: value for key, value in values.items() if key not in _KEYS}
    return Content([Entry(first, own | {"template": body}, lines | {"template": first}, meta=meta)])


READERS: dict[str, Callable[[Path, Faults], Content]] = {
    ".yaml": _yaml, ".yml": _yaml, ".prompt": _yaml, ".jsonl": _table, ".ndjson": _table, ".csv": _table,
    ".tsv": _table, ".json": _json, ".txt": _txt, ".md": _md,
}  # fmt: skip
"""By the file's ending."""
