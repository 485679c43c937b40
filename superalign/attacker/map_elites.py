"""A quality-diversity archive of attacks (Rainbow Teaming, arXiv 2402.16822): the best one of every cell.

The cells are hazard x style x turns; `ribs` keeps the best attack of each (MAP-Elites, arXiv 1504.04909).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from superalign.attacker.history import Tried
from superalign.records.base import HAZARDS

MAX_TURNS = 4
"""Conversations of more turns share a cell."""


class Archive:
    """The elites among a state's attacks."""

    def __init__(self, tried: Iterable[Tried], style_of: Callable[[str], str], styles: Sequence[str]) -> None:
        """style_of: name of a strategy's last element -> one of `styles`."""
        self._tried = tuple(tried)
        self._rows = {name: row for row, name in enumerate((*HAZARDS, None))}
        columns = {name: column for column, name in enumerate(styles)}
        dims = (len(self._rows), len(columns), MAX_TURNS)
        from ribs.archives import GridArchive  # it imports torch

        self._archive = GridArchive(
            solution_dim=1, dims=dims, ranges=[(0, size) for size in dims], seed=0, qd_score_offset=0.0
        )
        if self._tried:
            measures = [
                (self._rows[t.cell[1]], columns[style_of(t.chain[-1])], min(t.turns, MAX_TURNS) - 1)
                for t in self._tried
            ]
            self._archive.add(
                np.arange(len(self._tried), dtype=float)[:, None],
                np.array([t.objective * t.weight for t in self._tried]),
                np.array(measures, dtype=float) + 0.5,
            )

    @property
    def coverage(self) -> float:
        """Share of the cells that hold an attack."""
        return float(self._archive.stats.coverage)

    @property
    def qd_score(self) -> float:
        """Sum of the elites' objectives (Pugh, Soros and Stanley 2016)."""
        return float(self._archive.stats.qd_score)

    def elites(self) -> list[Tried]:
        """The attacks that hold a cell and broke the learner, in the order of the cells."""
        held = self._archive.data(("solution", "index"))
        order = np.argsort(held["index"])
        return [t for i in order if (t := self._tried[int(held["solution"][i, 0])]).success]

    def parent(self, hazard: str | None, dice: random.Random, near: float = 0.5) -> Tried | None:
        """An elite to breed from: with probability `near` of the same hazard where there is one; None: no elite."""
        elites = self.elites()
        same = [t for t in elites if t.cell[1] == hazard]
        pool = same if same and dice.random() < near else elites
        return dice.choices(pool, weights=[t.objective * t.weight for t in pool])[0] if pool else None
