"""What a recipe may say about people."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from superalign.records.base import FrozenModel


class ReviewOptions(FrozenModel):
    """Whether a run uses people's labels, and how many of them it asks for."""

    mode: Literal["off", "best_effort", "block"] = "off"
    """off: labels are kept and change nothing; best_effort: what is labelled in time overrides the critic and teaches
    the probe; block: so it does, and a round waits until its queue is labelled."""
    per_round: Annotated[int, Field(ge=1)] = 30
    """The most answers of a round that a person is asked about."""
