"""What a recipe may say about values that change."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from superalign.critic.options import ChecksOptions, CriticOptions
from superalign.records.base import FrozenModel, Rate


class ValuesOptions(FrozenModel):
    """Held-out requests by principle, what a new version does to what was learned, and what the gate makes of it."""

    items: str
    """File of held-out requests, each with the principle that it tests."""
    judge: CriticOptions = ChecksOptions()
    """Who says whether a reply keeps the principle. A program's word is the same for critic and judge; a model should
    be another than the critic's."""
    on_switch: Literal["naive", "replay", "scratch"] = "replay"
    """In the first round of a new version, naive: train on that round's examples, as ever; replay: on past ones, too,
    whose verdict under the new version holds, or that can be turned round; scratch: on the same as replay, but from
    the base model."""
    max_tokens: Annotated[int, Field(ge=1)] = 32
    """Of a reply; greedy."""
    alpha: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05
    """The gate takes a gain in principles kept for one where chance gives it in at most this share of cases; 1: any
    candidate will do."""
    max_loss: Rate = 0.1
    """How far principles that ask the same as before may be kept less often than by the incumbent, all together."""
    max_principle_loss: Rate = 0.25
    """And any one of them."""
