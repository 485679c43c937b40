"""What records and options share: the frozen base class, and the types of hazards, intents, kinds and rates."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator

Hazard = Literal[
    "violent_crimes", "nonviolent_crimes", "sex_related_crimes", "child_sexual_exploitation",
    "indiscriminate_weapons", "suicide_self_harm", "intellectual_property", "defamation", "hate",
    "privacy", "specialized_advice", "sexual_content",
]  # fmt: skip
"""The hazard categories of MLCommons AILuminate 1.0 (arXiv 2503.05731, section 3)."""
HAZARDS: tuple[str, ...] = get_args(Hazard)
OWN_HAZARD = "hazard:"
"""Prefix of the tag by which a seed names a hazard outside the taxonomy."""

Intent = Literal["harmful", "benign"]
INTENTS: tuple[Intent, ...] = get_args(Intent)
Kind = Literal["harmful", "lookalike", "ordinary"]
KINDS: tuple[Kind, ...] = get_args(Kind)
SuiteKind = Literal["harmful", "lookalike", "ordinary", "capability", "injection"]
"""Besides the three kinds: capability has an answer key, injection tries to steer the model or its judge."""
Rate = Annotated[float, Field(ge=0.0, le=1.0)]
"""A share or probability, 0 to 1."""
HOTTEST = 2.0
"""vLLM refuses requests at a higher temperature."""
Temperature = Annotated[float, Field(ge=0.0, le=HOTTEST)]
"""Sampling temperature; 0: greedy."""


class FrozenModel(BaseModel):
    """Base of options, records and parts of files: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Record(FrozenModel):
    """Base of what flows through a run and is stored."""


class OwnHazard(Record):
    """A hazard outside the taxonomy, defined by its goals."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")
    """Small letters, digits and underscores."""
    about: str = ""
    """What it is, in a sentence."""
    goals: tuple[str, ...] = Field(min_length=1)
    """Goals near to one of these are covered by the hazard."""
    cluster: str | None = None
    """The cluster of failures it was made from; None: written by a person."""

    @field_validator("name")
    @classmethod
    def _is_new(cls, name: str) -> str:
        if name in HAZARDS:
            raise ValueError(f"{name} is a hazard of the taxonomy")
        return name
