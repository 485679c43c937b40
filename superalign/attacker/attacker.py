"""SearchingAttacker: chooses a strategy for every rollout, keeps what is no new attack from being played."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

import numpy as np

from superalign.attacker.evolve import Breeder, name_of
from superalign.attacker.history import ArmRecord, Cell, Memory, State
from superalign.attacker.options import EVOLVED, AttackerOptions
from superalign.attacker.strategies.multi_turn import REPLAY
from superalign.attacker.strategies.protocol import Step, Strategy, Writer
from superalign.models.embedder import Embedder, Vectors
from superalign.protocols import DropError
from superalign.records.exchange import Exchange
from superalign.records.rollout import Attack, Rollout
from superalign.seeding import derive_seed

Unfit = Callable[[str, State], Awaitable[str | None]]
"""(attack's last turn, what was tried) -> why it may not be played; None: it may."""


class SearchingAttacker:
    """Attacks of one round; equal rollouts, histories and memories give equal attacks, whatever else runs meanwhile."""

    def __init__(
        self,
        strategies: Mapping[str, Strategy],
        options: AttackerOptions,
        writer: Writer,
        memory: Memory,
        breeder: Breeder,
        unfit: Sequence[Unfit] = (),
        *,
        run_seed: int,
    ) -> None:
        self.strategies, self.options, self.writer, self.memory = strategies, options, writer, memory
        self.breeder, self.unfit, self.run_seed = breeder, unfit, run_seed

    async def attack(self, rollout: Rollout, history: Sequence[Exchange]) -> Attack | None:
        """The strategy's next step; for a new rollout a strategy is chosen first. Raises DropError."""
        if history:
            name = history[0].attack.strategy
            step = await self._named(name).step(rollout, history, self.writer)
            return None if step is None else self._attack(rollout, len(history), name, step)
        state = await self.memory.before(rollout) if self.options.learns else self.memory.start
        reasons: dict[str, None] = {}
        refused: set[str] = set()
        for attempt in range(self.options.tries):
            arm = self._choose(rollout, state, attempt, refused)
            try:
                attack = await self._first(arm, rollout, state, attempt)
                if reason := await self._why_unfit(attack, state):
                    raise DropError(f"{attack.strategy}: {reason}")
            except DropError as error:
                reasons[str(error)] = None
                refused.add(arm)
                continue
            return attack
        raise DropError("; ".join(reasons))

    def over(self, rollout: Rollout, history: Sequence[Exchange]) -> None:
        """Remember what a rollout came to."""
        self.memory.over(rollout, history)

    async def _first(self, arm: str, rollout: Rollout, state: State, attempt: int) -> Attack:
        """A rollout's first attack by a chosen strategy; raises DropError."""
        strategy: Strategy
        if arm == EVOLVED:
            strategy, parent = self.breeder.propose(rollout, state, self._dice(rollout, "evolve", attempt))
            name = name_of(strategy.name)
        else:
            strategy, parent, name = self.strategies[arm], None, arm
        step = await strategy.step(rollout, (), self.writer)
        if step is None:
            raise DropError(f"{name} has no attack for {rollout.seed.id}")
        return self._attack(rollout, 0, name, step, parent)

    def _choose(self, rollout: Rollout, state: State, attempt: int, refused: Collection[str]) -> str:
        """Not one that was refused for this rollout, unless no other is left."""
        seed = rollout.seed
        if seed.turns or seed.strategy is not None:
            return seed.strategy or REPLAY
        weights = self.options.weights(self.strategies)
        usable = [n for n in sorted(weights) if n == EVOLVED or self.strategies[n].applies(seed)]
        if not usable:
            raise DropError(f"no strategy of the mix applies to {seed.kind} seed {seed.id}")
        usable = [name for name in usable if name not in refused] or usable
        dice = self._dice(rollout, "select", attempt)
        if self.options.select == "thompson" and dice.random() >= self.options.explore:
            return by_success(usable, state, (seed.kind, seed.hazard), dice)
        again = random.Random(
            derive_seed(self.run_seed, rollout.round, seed.id, "strategy", rollout.index // len(usable))
        )
        return by_weight(usable, weights, again, rollout.index)

    async def _why_unfit(self, attack: Attack, state: State) -> str | None:
        text = attack.messages[-1].content
        for check in self.unfit:
            if reason := await check(text, state):
                return reason
        return None

    def _named(self, name: str) -> Strategy:
        bred = name.startswith(EVOLVED + ":")
        return self.breeder.named(name.removeprefix(EVOLVED + ":")) if bred else self.strategies[name]

    def _attack(self, rollout: Rollout, step_number: int, name: str, step: Step, parent: str | None = None) -> Attack:
        return Attack(
            id=rollout.attack_id(step_number),
            seed=rollout.seed,
            strategy=name,
            strategy_sha256=self._named(name).sha256,
            messages=step.messages,
            draft=step.draft,
            parent=step.parent or parent,
            setup=step.setup,
        )

    def _dice(self, rollout: Rollout, what: str, attempt: int) -> random.Random:
        return random.Random(derive_seed(self.run_seed, rollout.id, what, attempt))


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
    kind_records, cell_records = state.records.get((cell[0], None), {}), state.records.get(cell, {})
    drawn = {}
    for arm in usable:
        rate = kind_records.get(arm, ArmRecord()).rate
        record = cell_records.get(arm, ArmRecord()) if cell[1] else ArmRecord()
        drawn[arm] = dice.betavariate(PRIOR * rate + record.won, PRIOR * (1.0 - rate) + record.lost)
    return max(usable, key=lambda arm: drawn[arm])


async def same_words(text: str, state: State) -> str | None:
    """Why an attack is no news: its words were played before."""
    earlier = state.texts.get(text.lower())
    return f"has the same words as {earlier}" if earlier else None


class NearDuplicate:
    """Why an attack is no news: a sentence embedding lies too near to that of an earlier attack."""

    def __init__(self, embedder: Embedder, max_similarity: float) -> None:
        self.embedder, self.max_similarity = embedder, max_similarity
        self._known: tuple[State, Vectors] | None = None

    async def __call__(self, text: str, state: State) -> str | None:
        if not state.settled:
            return None
        if self._known is None or self._known[0] is not state:
            vectors = await self.embedder.aembed([t.text for t in state.settled])
            self._known = (state, vectors)
        [vector] = await self.embedder.aembed([text])
        cosines = self._known[1] @ vector
        nearest = int(np.argmax(cosines))
        if cosines[nearest] <= self.max_similarity:
            return None
        return f"is near {state.settled[nearest].id} (cosine {cosines[nearest]:.2f})"


class Leak:
    """Why an attack may not be trained on: a held-out prompt stands in it."""

    def __init__(self, held_out: Callable[[str], str | None]) -> None:
        """held_out: text -> the name of the held-out prompt that it repeats."""
        self.held_out = held_out

    async def __call__(self, text: str, state: State) -> str | None:
        repeated = self.held_out(text)
        return f"repeats held-out {repeated}" if repeated else None
