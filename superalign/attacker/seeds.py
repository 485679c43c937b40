"""Seeds from files: YAML, JSONL, CSV or plain lines; every fault of every file at once, with file and line."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from superalign.attacker.options import SeedFile
from superalign.errors import PromptFileError
from superalign.prompts import Faults, load_yaml_with_lines, nearest, prompt_path, read_text
from superalign.records import Seed

GOAL_COLUMNS = ("goal", "prompt", "behavior", "instruction", "text")
_KEYS = {"id", "intent", "hazard", "goal", "lookalikes", "parent", "tags"}
_ID = re.compile(r"[\w.~-]+")  # ids become parts of attack ids, which slashes divide

Row = tuple[int, Mapping[str, Any]]
"""Line and columns."""


def load_seeds(files: Sequence[SeedFile | str], beside: Path | None = None) -> tuple[Seed, ...]:
    """All seeds of all files, look-alikes behind their parents; raises PromptFileError with every fault."""
    faults = Faults()
    seeds: list[Seed] = []
    ids: dict[str, str] = {}
    goals: dict[str, str] = {}
    for file in (SeedFile(path=file) if isinstance(file, str) else file for file in files):
        try:
            path = prompt_path(file.path, beside)
            rows = list(_reader(path)(path, file, faults))
        except PromptFileError as error:
            faults.lines.append(str(error))
            continue
        for number, (line, row) in enumerate(rows, 1):
            for seed in _seeds_of_row(path, line, {"id": f"{path.stem}-{number:04d}", **row}, file, faults):
                for what, value, known in (("id", seed.id, ids), ("goal", normal(seed.goal), goals)):
                    if value in known:
                        faults.add(path, line, f"{what} of {seed.id} was already given in {known[value]}", "remove one")
                    known.setdefault(value, f"{path}:{line}")
                seeds.append(seed)
    parents = {seed.id for seed in seeds if seed.intent == "harmful"}
    faults.lines.extend(
        f"{ids[s.id]}: parent {s.parent} of {s.id} is no harmful seed; {nearest(s.parent, parents)}"
        for s in seeds if s.parent and s.parent not in parents
    )  # fmt: skip
    faults.raise_if_any()
    return tuple(seeds)


def normal(text: str) -> str:
    """Lower case, single spaces, no closing punctuation: equal for texts a reader calls the same."""
    return " ".join(text.lower().split()).rstrip(".!?")


def _seeds_of_row(path: Path, line: int, row: Mapping[str, Any], file: SeedFile, faults: Faults) -> Iterator[Seed]:
    """The row's seed, then its look-alikes; nothing but faults where it can't be read."""
    given = {key: value for key, value in row.items() if key in _KEYS and value not in (None, "")}
    twins = given.pop("lookalikes", [])
    fields = {"intent": file.intent, "hazard": file.hazard} | given
    if fields["intent"] is None:
        faults.add(
            path, line, "intent is missing", "write harmful or benign, here or as the file's `intent` in the recipe"
        )
        return
    fields["goal"] = str(fields.get("goal", "")).strip()
    if not fields["goal"]:
        faults.add(path, line, "goal is missing or empty")
        return
    try:
        seed = Seed.model_validate(fields)
    except ValidationError as error:
        faults.add_invalid(path, error, lambda _: line)
        return
    if not _ID.fullmatch(seed.id):
        faults.add(path, line, f"id {seed.id!r} holds a character other than letters, digits and . _ ~ -")
    yield seed
    if twins and seed.intent != "harmful":
        faults.add(path, line, f"{seed.id} is benign and has lookalikes", "give them to a harmful seed")
        return
    if not isinstance(twins, list) or not all(isinstance(twin, str) and twin.strip() for twin in twins):
        faults.add(path, line, f"lookalikes of {seed.id} is no list of texts")
        return
    for number, twin in enumerate(twins, 1):
        yield Seed(
            id=f"{seed.id}~{number}",
            goal=twin.strip(),
            intent="benign",
            hazard=seed.hazard,
            parent=seed.id,
            tags=seed.tags,
        )


def _yaml_rows(path: Path, file: SeedFile, faults: Faults) -> Iterator[Row]:
    document = load_yaml_with_lines(path)
    rows = document.data.get("seeds") if isinstance(document.data, dict) else document.data
    if not isinstance(rows, list) or not rows:
        faults.add(path, 1, "no list of seeds", "start with `seeds:` and a line `- goal: ...` for each")
        return
    inside: tuple[str | int, ...] = ("seeds",) if isinstance(document.data, dict) else ()
    for index, row in enumerate(rows):
        line = document.line((*inside, index))
        if isinstance(row, str):
            yield line, {"goal": row}
        elif isinstance(row, dict):
            for key in row.keys() - _KEYS:
                faults.add(path, document.line((*inside, index, key)), f"unknown key {key}", nearest(str(key), _KEYS))
            yield line, row
        else:
            faults.add(path, line, "a seed is a text or a mapping")


def _jsonl_rows(path: Path, file: SeedFile, faults: Faults) -> Iterator[Row]:
    rows: list[Row] = []
    for line, text in enumerate(read_text(path).split("\n"), 1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError as error:
            faults.add(path, line, f"not JSON: {error}")
            continue
        if isinstance(row, dict):
            rows.append((line, row))
        else:
            faults.add(path, line, "a row is a JSON object")
    yield from _with_goal(path, file, rows, faults)


def _csv_rows(path: Path, file: SeedFile, faults: Faults) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(read_text(path)), strict=True)
    rows: list[Row] = []
    try:
        for row in reader:
            if None in row or None in row.values():
                faults.add(path, reader.line_num, "the row has more or fewer columns than the header")
            else:
                rows.append((reader.line_num, row))
    except csv.Error as error:
        faults.add(path, reader.line_num, f"not CSV: {error}")
    yield from _with_goal(path, file, rows, faults)


def _txt_rows(path: Path, file: SeedFile, faults: Faults) -> Iterator[Row]:
    for line, text in enumerate(read_text(path).split("\n"), 1):
        if text.strip() and not text.startswith("#"):
            yield line, {"goal": text}


def _with_goal(path: Path, file: SeedFile, rows: list[Row], faults: Faults) -> Iterator[Row]:
    """Rows of a table with its goal column renamed; other columns that a seed does not know stay out."""
    for line, row in rows:
        column = file.column or next((name for name in GOAL_COLUMNS if name in row), "")
        if column not in row:
            wanted = file.column or ", ".join(GOAL_COLUMNS)
            faults.add(path, line, f"no column {wanted}", f"name one of {', '.join(row)} as `column` in the recipe")
            continue
        yield line, {key: value for key, value in row.items() if key in _KEYS and key != "goal"} | {"goal": row[column]}


_READERS: dict[str, Callable[[Path, SeedFile, Faults], Iterator[Row]]] = {
    ".yaml": _yaml_rows, ".yml": _yaml_rows, ".jsonl": _jsonl_rows, ".csv": _csv_rows, ".txt": _txt_rows,
}  # fmt: skip


def _reader(path: Path) -> Callable[[Path, SeedFile, Faults], Iterator[Row]]:
    if path.suffix not in _READERS:
        raise PromptFileError(f"{path}: seeds can't be read from {path.suffix or 'this'}", "use " + ", ".join(_READERS))
    return _READERS[path.suffix]
