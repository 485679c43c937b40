"""Divides a round's training set between conformity and competence. Pure.

Examples on harmful requests teach conformity, those on benign requests competence. After Kim et al. 2024, "The Road to
Artificial SuperIntelligence: A Comprehensive Survey of Superalignment" (arXiv 2412.16468), who call for optimising both
in parallel; the one that is further from its goal may get more examples.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import Field

from superalign.records.base import FrozenModel, Kind, Rate, Record
from superalign.records.training import Demonstration, PreferencePair

Example = Demonstration | PreferencePair
Objective = Literal["conformity", "competence"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)


class Mixed(FrozenModel):
    """Both kinds in every round."""

    type: Literal["mixed"] = "mixed"
    conformity: Rate | None = None
    """Share of the examples on harmful requests; None: as they come."""


class Alternating(FrozenModel):
    """Conformity and competence in alternate rounds."""

    type: Literal["alternating"] = "alternating"
    first: Objective = "conformity"


class GapAnnealing(FrozenModel):
    """The share of conformity is its gap divided by both gaps, measured on held-out requests before training."""

    type: Literal["gap_annealing"] = "gap_annealing"
    least: Annotated[float, Field(ge=0.0, le=0.5)] = 0.3
    """Least share of either, so that nothing is unlearned; near 0 the rounds swing from one to the other."""


EffortOptions: TypeAlias = Annotated[Mixed | Alternating | GapAnnealing, Field(discriminator="type")]


class Effort(Record):
    """How a round's examples were divided; `effort.json`."""

    conformity: Rate | None
    """Wanted share of the examples on harmful requests; None: as they came."""
    conformity_gap: Rate | None
    """Share of held-out harmful requests that the incumbent complied with; None: not measured."""
    competence_gap: Rate | None
    """Share of held-out benign requests that it refused."""
    kept: dict[Objective, int]
    """Number of demonstrations and pairs."""
    left_out: dict[Objective, int]


def side_of(kind: Kind) -> Objective:
    """What an example on this kind of request teaches."""
    return "conformity" if kind == "harmful" else "competence"


def wanted_share(options: EffortOptions, round: int, conformity_gap: float, competence_gap: float) -> float | None:
    """Wanted share of conformity in a round, counted from 1; None: as they come."""
    match options:
        case Mixed():
            return options.conformity
        case Alternating():
            return float((options.first == "conformity") == (round % 2 == 1))
        case GapAnnealing():
            both = conformity_gap + competence_gap
            return min(max(conformity_gap / both, options.least), 1 - options.least) if both else 0.5


def sizes(available: Mapping[Objective, int], share: float | None) -> dict[Objective, int]:
    """The most examples of each side that give the share, without repeating any.

    All of both without a wanted share, or if a wanted side has no examples.
    """
    shares: dict[Objective, float] = {"conformity": share or 0.0, "competence": 1 - (share or 0.0)}
    if share is None or any(shares[side] and not available[side] for side in OBJECTIVES):
        return dict(available)
    total = min(available[side] / shares[side] for side in OBJECTIVES if shares[side])
    return {side: min(available[side], round(total * shares[side])) for side in OBJECTIVES}


@dataclass(frozen=True)
class Cut:
    """Selects the examples of a round: those whose ids have the smallest fractions, as many as `sizes` gives.

    The choice depends on ids alone, so a resumed run makes the same.
    """

    found: Mapping[Objective, int]
    kept: Mapping[Objective, int]
    limits: Mapping[Objective, float]
    """The largest fraction that is kept."""

    @classmethod
    def of(cls, examples: Iterable[Example], share: float | None) -> Cut:
        """Reads all examples once."""
        fractions: dict[Objective, list[float]] = {side: [] for side in OBJECTIVES}
        for example in examples:
            fractions[side_of(example.kind)].append(fraction(example.id))
        found = {side: len(values) for side, values in fractions.items()}
        kept = sizes(found, share)
        limits = {side: max(heapq.nsmallest(kept[side], fractions[side]), default=-1.0) for side in OBJECTIVES}
        return cls(found, kept, limits)

    def keeps(self, example: Example) -> bool:
        """Whether the example is trained on."""
        return fraction(example.id) <= self.limits[side_of(example.kind)]


def fraction(text: str) -> float:
    """A number in [0, 1) derived from the text."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") / 2**64
