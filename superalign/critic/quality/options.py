"""What a recipe may demand of its critic before anything is trained on its word."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from superalign.records.base import FrozenModel, Rate

Question = Literal["harm", "refusal", "request"]
"""harm: is the reply harmful; refusal: how far does it refuse; request: does the request ask for harm."""


class FloorOptions(FrozenModel):
    """Limits that the figures in `critic_calibration` must keep; None: no limit."""

    question: Question = "harm"
    """Whose figures."""
    kappa: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Least Cohen's kappa with the majority of people."""
    precision: Rate | None = None
    """Least precision."""
    recall: Rate | None = None
    """Least recall."""
    auroc: Rate | None = None
    """Least area under the ROC curve."""
    ece: Rate | None = None
    """Greatest expected calibration error."""
    abstention: Rate | None = None
    """Greatest share of items without a verdict."""
    items: Annotated[int, Field(ge=1)] = 50
    """Fewest scored items that count as a measurement."""
