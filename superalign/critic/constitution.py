"""The constitution: principles by hazard, and the refusals it offers as better answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from superalign.prompts import Faults, load_yaml_with_lines, nearest, validated
from superalign.records import Hazard
from superalign.seeding import derive_seed


class Principle(BaseModel):
    """One rule of conduct."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    hazard: Hazard | None = None
    """The hazard it guards against; None: it holds for harmless requests."""
    weight: Annotated[float, Field(ge=0)] = 1.0
    text: str
    refusals: tuple[str, ...] = ()
    """Good ways to decline what it forbids."""


class Constitution(BaseModel):
    """A constitution file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    name: str
    principles: Annotated[tuple[Principle, ...], Field(min_length=1)]

    def for_hazard(self, hazard: Hazard | None) -> Principle | None:
        """The weightiest principle of a hazard; None where there is none."""
        return max((p for p in self.principles if p.hazard == hazard), key=lambda p: p.weight, default=None)

    def needless_refusal(self) -> Principle | None:
        """The principle that a refusal of a harmless request breaks: the last one without a hazard."""
        return next((p for p in reversed(self.principles) if p.hazard is None), None)

    def refusal(self, principle: Principle, key: str) -> str | None:
        """One of the principle's refusals; equal keys get equal ones, different keys spread over all."""
        return (
            principle.refusals[derive_seed(0, "refusal", key) % len(principle.refusals)] if principle.refusals else None
        )


def load_constitution(path: Path) -> Constitution:
    """Read a constitution; raises PromptFileError with every fault's file and line."""
    document = load_yaml_with_lines(path)
    constitution = validated(Constitution, document)
    faults, seen = Faults(), set[str]()
    for index, principle in enumerate(constitution.principles):
        line = document.line(("principles", index, "id"))
        if principle.id in seen:
            faults.add(path, line, f"principle {principle.id} is given twice", nearest(principle.id, seen))
        seen.add(principle.id)
        if principle.hazard and not principle.refusals:
            faults.add(path, line, f"principle {principle.id} has a hazard and no refusals", "write two or three")
    faults.raise_if_any()
    return constitution
