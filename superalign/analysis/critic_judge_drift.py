"""Whether critic and judge drift apart: the critic's figures of attacks beside the judge's of held-out items."""

from __future__ import annotations

from collections.abc import Mapping

from superalign.critic.quality.divergence import SIDES, Divergence, Side, divergence
from superalign.gate.decide import pooled
from superalign.records.evaluation import Evaluation, Interval
from superalign.store.round_folder import round_of
from superalign.store.run_folder import RunFolder


def divergences(
    first: Mapping[Side, Interval], this: Mapping[Side, Interval], before: Evaluation, after: Evaluation
) -> tuple[Divergence, ...]:
    """first, this: the critic's faults in two rounds; before, after: the judge's, of the learners attacked in them."""
    found = [
        divergence(side, first[side], this[side], old, new)
        for side in SIDES
        if side in first and side in this
        if (old := _held_out(before, side)) and (new := _held_out(after, side))
    ]
    return tuple(part for part in found if part is not None)


def attacked_in(folder: RunFolder, number: int) -> int:
    """The round whose checkpoint was attacked in this one; -1: there is none."""
    attacked = folder.standing(number - 1)
    return -1 if attacked is None else round_of(attacked)


def _held_out(evaluation: Evaluation, side: Side) -> Interval | None:
    """The judge's rate of faults."""
    if side == "harmful":
        return pooled(evaluation, ("harmful",), "complied")
    return pooled(evaluation, ("lookalike", "ordinary"), "refused")
