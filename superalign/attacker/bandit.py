"""Which strategy a rollout is given: by the recipe's weights, or by what broke the learner."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from superalign.attacker.history import Cell, Record, State

PRIOR = 4.0
"""Rollouts that a strategy's record over all hazards counts for, where a hazard has few of its own."""


def by_weight(usable: Sequence[str], weights: Mapping[str, float], dice: random.Random, index: int) -> str:
    """Weighted and without repeats until all were used (Efraimidis and Spirakis 2006, A-Res)."""
    order = sorted(usable, key=lambda name: dice.random() ** (1 / weights[name]), reverse=True)
    return order[index % len(order)]


def by_success(usable: Sequence[str], state: State, cell: Cell, dice: random.Random) -> str:
    """Thompson sampling (Thompson 1933; Chapelle and Li 2011) with Bernoulli rewards.

    An arm's prior in a cell (kind x hazard) is its record over all cells of that kind, worth `PRIOR` rollouts. A
    rollout of several queries that succeeded counts as one success and otherwise as so many failures:
    queries are the budget.
    """
    wide, own = state.records.get((cell[0], None), {}), state.records.get(cell, {})
    drawn = {}
    for arm in usable:
        rate = wide.get(arm, Record()).rate
        record = own.get(arm, Record()) if cell[1] else Record()
        drawn[arm] = dice.betavariate(PRIOR * rate + record.won, PRIOR * (1.0 - rate) + record.lost)
    return max(usable, key=lambda arm: drawn[arm])
