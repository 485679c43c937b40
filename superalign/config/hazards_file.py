"""Hazards of one's own, besides those of the taxonomy: the file that a recipe names, an OwnHazard a line.

A run folder's `hazards.jsonl` has the same form, so that the next run can begin with what this one found.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import ValidationError

from superalign.files.find import prompt_path
from superalign.files.tables import Row, read_jsonl
from superalign.files.yaml_lines import Faults, Loc
from superalign.records.base import OwnHazard


def load_hazards(name: str | None, base_dir: Path | None) -> tuple[OwnHazard, ...]:
    """The hazards of a file that a recipe names; None: it names none. Raises PromptFileError with every fault."""
    if name is None:
        return ()
    path, faults = prompt_path(name, base_dir), Faults()
    found: dict[str, OwnHazard] = {}
    for row in read_jsonl(path, faults):
        try:
            hazard = OwnHazard.model_validate(row.values)
        except ValidationError as error:
            faults.add_invalid(path, error, partial(_line, row))
            continue
        if found.setdefault(hazard.name, hazard) is not hazard:
            faults.add(path, row.line, f"a hazard {hazard.name} was already given", "rename or remove one")
    faults.raise_if_any()
    return tuple(found.values())


def _line(row: Row, loc: Loc) -> int:
    return row.line
