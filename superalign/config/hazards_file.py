"""Hazards of one's own, besides those of the taxonomy: the file that a recipe names, an OwnHazard a line.

A run folder's `hazards.jsonl` has the same form, so that the next run can begin with what this one found.
"""

from __future__ import annotations

from pathlib import Path

from superalign.files.find import prompt_path
from superalign.files.tables import Layout, read_table, record_of
from superalign.files.yaml_lines import Faults
from superalign.records.base import OwnHazard


def load_hazards(name: str | None, base_dir: Path | None) -> tuple[OwnHazard, ...]:
    """The hazards of a file that a recipe names; None: it names none. Raises PromptFileError with every fault."""
    if name is None:
        return ()
    path, faults = prompt_path(name, base_dir), Faults()
    found: dict[str, OwnHazard] = {}
    for row in read_table(path, faults, Layout("hazards", beside=())).rows:
        hazard = record_of(OwnHazard, row, path, faults)
        if hazard is not None and found.setdefault(hazard.name, hazard) is not hazard:
            faults.add(path, row.line, f"a hazard {hazard.name} was already given", "rename or remove one")
    faults.raise_if_any()
    return tuple(found.values())
