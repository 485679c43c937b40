"""What a recipe may say about the attacker."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from superalign.records import Hazard, Intent


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
    mix: dict[str, float] = Field(default_factory=dict)
    """Strategy to weight; a name is a file `strategies/NAME.md`, beside the recipe or shipped. Empty: every
    rendered strategy that ships, with equal weight (the LLM-written ones have to be asked for)."""
    tries: int = Field(default=2, ge=1)
    """How often an LLM-written attack is sampled before it is dropped."""
