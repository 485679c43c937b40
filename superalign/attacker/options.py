"""What a recipe may say about the attacker."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from superalign.records import Hazard, Intent, Kind


class SeedFile(BaseModel):
    """A file of seeds (`.yaml`, `.jsonl`, `.csv`, `.txt`) and what holds for those of its rows that do not say."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    """Relative to the recipe's folder, or the name of a shipped file."""
    intent: Intent | None = None
    """None: every row has to say."""
    hazard: Hazard | None = None
    column: str | None = None
    """The column that holds the goal; None: the first of goal, prompt, behavior, instruction, text that exists."""


class AttackerOptions(BaseModel):
    """The ways to dress up a seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["template"] = "template"
    seeds: tuple[SeedFile, ...] = (SeedFile(path="seeds/harmful.yaml"), SeedFile(path="seeds/ordinary.yaml"))
    """Files of goals; an entry is a path, or a mapping with `path` and what holds for the whole file."""
    per_round: dict[Kind, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """How many attacks of each kind a round plays; rounds take different seeds while they last, then new strategies
    for the same ones. A kind that is not named plays each of its seeds once."""
    mix: dict[str, float] = Field(default_factory=dict)
    """Strategy to weight; a name is a file `strategies/NAME.md`, beside the recipe or shipped. Empty: every
    rendered strategy that ships, with equal weight (the LLM-written ones have to be asked for)."""
    tries: int = Field(default=2, ge=1)
    """How often an LLM-written attack is sampled before it is dropped."""

    @field_validator("seeds", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [{"path": entry} if isinstance(entry, str) else entry for entry in value]
