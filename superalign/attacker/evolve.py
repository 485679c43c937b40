"""Chains of strategies bred from those that broke the learner (MAP-Elites, arXiv 1504.04909; Rainbow Teaming,
arXiv 2402.16822): the genome is the chain, its words come from the rollout's own goal.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from superalign.attacker.history import State, Tried
from superalign.attacker.options import EVOLVED
from superalign.attacker.strategies.chain import Element, PromptStrategy, chained, elements_of
from superalign.attacker.strategies.front_matter import STYLES
from superalign.attacker.strategies.protocol import Strategy
from superalign.protocols import DropError
from superalign.records.base import HAZARDS
from superalign.records.rollout import Rollout

EXPLORE = 0.2
"""Share of rollouts that get a random chain."""
MAX_LENGTH = 3
TRIES = 16

Chain = tuple[str, ...]


class Breeder:
    """Proposes chains; equal arguments give equal chains."""

    def __init__(self, strategies: Mapping[str, Strategy]) -> None:
        """Chains are built of the elements of these, but for those that aim at the critic, and for plug-ins."""
        prompted = [strategy for strategy in strategies.values() if isinstance(strategy, PromptStrategy)]
        self.elements: dict[str, Element] = {
            element.name: element
            for strategy in prompted
            for element in elements_of(strategy)
            if element.meta.targets == "learner"
        }
        self._archives: dict[tuple[int, str], Archive] = {}

    def propose(self, rollout: Rollout, state: State, dice: random.Random) -> tuple[PromptStrategy, str | None]:
        """A strategy for the rollout's seed that was not tried on it, and the id of the attack it was bred from.

        Raises DropError when none was found.
        """
        archive = self._archive(state, rollout.seed.kind)
        for _ in range(TRIES):
            parent = None if dice.random() < EXPLORE else archive.parent(rollout.seed.hazard, dice)
            chain = self._mutated(parent.chain, dice) if parent else self._random(dice)
            bred = chained([self.elements[name] for name in chain])
            if bred is not None and bred.applies(rollout.seed) and (rollout.seed.id, chain) not in state.used:
                return bred, parent.id if parent else None
        raise DropError(f"no new chain of strategies was found for {rollout.seed.id} in {TRIES} tries")

    def named(self, chain: str) -> PromptStrategy:
        """The strategy of a chain that was proposed."""
        bred = chained([self.elements[name] for name in chain.split("+")])
        assert bred is not None
        return bred

    def _random(self, dice: random.Random) -> Chain:
        return tuple(dice.sample(sorted(self.elements), k=min(dice.choice((1, 1, 2)), len(self.elements))))

    def _mutated(self, chain: Chain, dice: random.Random) -> Chain:
        """The parent's chain as it is (on another goal), or with one element more, less or another."""
        if any(name not in self.elements for name in chain):
            return ()
        names, place = list(chain), dice.randrange(len(chain))
        match dice.choice(("keep", "keep", "add", "replace", "remove")):
            case "add" if len(names) < MAX_LENGTH:
                names.insert(dice.randint(0, len(names)), dice.choice(sorted(self.elements)))
            case "replace":
                names[place] = dice.choice(sorted(self.elements))
            case "remove" if len(names) > 1:
                del names[place]
        return tuple(names) if len(set(names)) == len(names) else ()

    def _archive(self, state: State, kind: str) -> Archive:
        key = (id(state), kind)
        if key not in self._archives:
            own = [t for t in state.tried if t.cell[0] == kind and t.chain[-1] in self.elements]
            self._archives = {k: v for k, v in self._archives.items() if k[0] == id(state)}
            self._archives[key] = Archive(own, lambda name: self.elements[name].meta.style, STYLES)
        return self._archives[key]


def name_of(chain: str) -> str:
    """What an attack of a bred chain bears as its strategy."""
    return f"{EVOLVED}:{chain}"


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
