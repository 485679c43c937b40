"""Compares the critic's faults on attacks with the judge's on held-out items, to see whether the two drift apart."""

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
    """first, this: the critic's fault rates in two rounds; before, after: the judge's, of the attacked learners."""
    gaps = [
        divergence(side, first[side], this[side], old, new)
        for side in SIDES
        if side in first and side in this
        if (old := _held_out(before, side)) and (new := _held_out(after, side))
    ]
    return tuple(gap for gap in gaps if gap is not None)


def attacked_in(folder: RunFolder, number: int) -> int:
    """The round that trained the checkpoint attacked in round `number`; -1: none."""
    attacked = folder.standing(number - 1)
    return -1 if attacked is None else round_of(attacked)


def _held_out(evaluation: Evaluation, side: Side) -> Interval | None:
    """The judge's rate of faults on held-out items."""
    if side == "harmful":
        return pooled(evaluation, ("harmful",), "complied")
    return pooled(evaluation, ("lookalike", "ordinary"), "refused")
