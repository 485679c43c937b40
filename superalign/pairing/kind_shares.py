"""How a round's training set is shared between conformity and competence: a pure function of options, round and gaps.

Conformity is what examples on harmful requests teach, competence what those on benign ones do. Trained in parallel they
need not be in equal parts: Kim et al. 2024, "The Road to Artificial SuperIntelligence: A Comprehensive Survey of
Superalignment" (arXiv 2412.16468), call for optimising both at once, and what is further from its goal needs more.
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
Side = Literal["conformity", "competence"]
SIDES: tuple[Side, ...] = get_args(Side)


class Mixed(FrozenModel):
    """Both kinds in every round."""

    type: Literal["mixed"] = "mixed"
    conformity: Rate | None = None
    """Share of the examples that are on harmful requests; None: as they come."""


class Alternating(FrozenModel):
    """One kind a round, by turns."""

    type: Literal["alternating"] = "alternating"
    first: Side = "conformity"


class GapAnnealing(FrozenModel):
    """The share of conformity is its gap over both gaps, measured on held-out requests before the round's training."""

    type: Literal["gap_annealing"] = "gap_annealing"
    least: Annotated[float, Field(ge=0.0, le=0.5)] = 0.3
    """Least share of either, so that what is good already is not unlearned; the nearer to 0, the more rounds swing."""


EffortOptions: TypeAlias = Annotated[Mixed | Alternating | GapAnnealing, Field(discriminator="type")]


class Effort(Record):
    """How a round's examples were shared out; `effort.json`."""

    conformity: Rate | None
    """Wanted share of the examples on harmful requests; None: as they came."""
    conformity_gap: Rate | None
    """Held-out harmful requests that the incumbent complied with; None: not measured."""
    competence_gap: Rate | None
    """Held-out benign requests that it refused."""
    kept: dict[Side, int]
    """Examples, demonstrations and pairs together."""
    left_out: dict[Side, int]


def side_of(kind: Kind) -> Side:
    """What an example on such a request teaches."""
    return "conformity" if kind == "harmful" else "competence"


def wanted_share(options: EffortOptions, round: int, conformity_gap: float, competence_gap: float) -> float | None:
    """Share of the examples of a round, counted from 1, that is to teach conformity; None: as they come."""
    match options:
        case Mixed():
            return options.conformity
        case Alternating():
            return float((options.first == "conformity") == (round % 2 == 1))
        case GapAnnealing():
            both = conformity_gap + competence_gap
            return min(max(conformity_gap / both, options.least), 1 - options.least) if both else 0.5


def sizes(found: Mapping[Side, int], share: float | None) -> dict[Side, int]:
    """The most examples of each side that come to the share, none of them twice.

    All of both where there is no wanted share, or where a wanted side has none to give.
    """
    shares: dict[Side, float] = {"conformity": share or 0.0, "competence": 1 - (share or 0.0)}
    if share is None or any(shares[side] and not found[side] for side in SIDES):
        return dict(found)
    total = min(found[side] / shares[side] for side in SIDES if shares[side])
    return {side: min(found[side], round(total * shares[side])) for side in SIDES}


@dataclass(frozen=True)
class Cut:
    """Which examples of a round are trained on: those whose ids have the least fractions, as many as `sizes` says.

    It depends on ids alone, so that a resumed run leaves out the same.
    """

    found: Mapping[Side, int]
    kept: Mapping[Side, int]
    limits: Mapping[Side, float]
    """The largest fraction that is kept."""

    @classmethod
    def of(cls, examples: Iterable[Example], share: float | None) -> Cut:
        """Look once at all examples."""
        fractions: dict[Side, list[float]] = {side: [] for side in SIDES}
        for example in examples:
            fractions[side_of(example.kind)].append(fraction(example.id))
        found = {side: len(values) for side, values in fractions.items()}
        kept = sizes(found, share)
        limits = {side: max(heapq.nsmallest(kept[side], fractions[side]), default=-1.0) for side in SIDES}
        return cls(found, kept, limits)

    def keeps(self, example: Example) -> bool:
        """Whether it is trained on."""
        return fraction(example.id) <= self.limits[side_of(example.kind)]


def fraction(text: str) -> float:
    """A number in [0, 1) that follows from the text."""
    return int.from_bytes(sha256(text.encode()).digest()[:8], "big") / 2**64
