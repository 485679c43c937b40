"""Files of goals and templates -> entries that know their line, whoever wrote the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from superalign.attacker.options import Column, SeedFile
from superalign.attacker.seeds.garak_pyrit import garak, is_garak, is_pyrit, pyrit
from superalign.attacker.seeds.row_to_seed import Content, Entry, Template
from superalign.errors import PromptFileError
from superalign.files import tables
from superalign.files.tables import YAML, Layout, chosen, column_of, read_table
from superalign.files.templates import front_matter
from superalign.files.yaml_lines import Faults, nearest

GOAL_COLUMNS = ("goal", "prompt", "behavior", "instruction", "text")
FORMATS = (*tables.FORMATS, ".md")
"""By the file's ending."""
_FIELDS: tuple[str, ...] = get_args(Column)
_KEYS = {*_FIELDS, "lookalikes"}


def read_file(path: Path, file: SeedFile, faults: Faults) -> Content:
    """Everything in one file, after `where`, `columns` and `limit`; faults are noted, PromptFileError ends the file."""
    suffix, before = path.suffix.lower(), len(faults.lines)
    if suffix not in FORMATS:
        raise PromptFileError(f"{path}: seeds can't be read from {suffix or 'this'}", "use " + ", ".join(FORMATS))
    content = _prompt_file(path, faults) if suffix == ".md" else _table(path, faults)
    entries = [replace(entry, number=number) for number, entry in enumerate(content.entries, 1)]
    if not entries and not content.templates and not content.notices and len(faults.lines) == before:
        faults.add(path, 1, "no goals in it", "fill it or leave it out")
    entries = chosen(entries, path, faults, columns=file.columns, where=file.where, limit=file.limit)
    if content.table or file.columns:
        return replace(content, entries=_with_goals(path, entries, faults))
    for entry in entries:
        for key in entry.values.keys() - _KEYS:
            faults.add(path, entry.lines.get(key, entry.line), f"unknown key {key}", nearest(str(key), _KEYS))
    return replace(content, entries=entries)


def _with_goals(path: Path, entries: Sequence[Entry], faults: Faults) -> list[Entry]:
    """The entries with a goal from the likeliest column if none is named; columns that are not a seed's stay out."""
    with_goals = []
    for entry in entries:
        values = {name: entry.values[name] for name in _FIELDS if name in entry.values}
        if values.get("goal") is None and values.get("turns") is None:
            column = column_of(entry.values, GOAL_COLUMNS)
            if column is None:
                hint = f"name one of {', '.join(entry.values)} in the recipe: `columns: {{goal: ...}}`"
                faults.add(path, entry.line, f"no column {', '.join(GOAL_COLUMNS)}", hint)
                continue
            values["goal"] = entry.values[column]
        with_goals.append(replace(entry, values=values))
    return with_goals


def _table(path: Path, faults: Faults) -> Content:
    """A table, superalign's own YAML, or what another tool wrote."""
    own = Faults()
    table = read_table(path, own, Layout("seeds", text="goal", comment="#"))
    if table.document and is_garak(table.document.data):
        return garak(table.document, faults)
    if table.document and is_pyrit(table.document.data):
        return pyrit(table.document)
    faults.lines.extend(own.lines)
    entries = []
    for row in table.rows:
        below = "\n" in str(row.values.get("template", ""))  # a block scalar begins below its key
        lines = {key: line + (below and key == "template") for key, line in row.lines.items()}
        entries.append(Entry(row.line, row.values, lines))
    return Content(entries, table=path.suffix.lower() not in (*YAML, ".txt"))


def _prompt_file(path: Path, faults: Faults) -> Content:
    """A goal, a goal with its template, or a template alone, which is a strategy file."""
    front, body, first_line = front_matter(path)
    slots = "{{" in body or "{%" in body
    if slots and "goal" not in front.data:
        return Content(templates=[Template(path.stem, None)])
    lines = {str(key): front.line((str(key),)) for key in front.data}
    if not slots:
        if body.strip() and "goal" in front.data:
            hint = "write {{ goal }} in it"
            faults.add(path, first_line, "the body has no slot, and the front matter has the goal", hint)
        return Content([Entry(first_line, {"goal": body.strip(), **front.data}, lines)])
    values = {key: value for key, value in front.data.items() if key in _KEYS}
    meta = {key: value for key, value in front.data.items() if key not in _KEYS}
    return Content([Entry(first_line, values | {"template": body}, lines | {"template": first_line}, meta=meta)])
