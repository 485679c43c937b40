"""What became of earlier attacks, in a form that gives the same state whatever the order of completion.

The memory is a fold over exchanges, so it needs no file of its own: a run that was killed folds its journal again.
Rollouts are grouped into generations by their place in the schedule. A rollout of generation g sees what generations
up to g - 2 came to, so that two generations are always under way and no rollout waits for the slowest of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from superalign.attacker.options import EVOLVED
from superalign.records.base import Hazard, Kind
from superalign.records.exchange import Exchange
from superalign.records.rollout import Rollout, rollout_of

FADE = 0.5
"""What a success of one round earlier counts: the learner has been trained on it since."""

Cell = tuple[Kind, Hazard | None]


@dataclass(frozen=True)
class Tried:
    """A rollout that has ended, as later ones remember it."""

    id: str
    """Id of its best attack."""
    seed_id: str
    cell: Cell
    strategy: str
    text: str
    """The last user turn of its best attack."""
    turns: int
    """User turns of that attack."""
    objective: float
    """1 minus the critic's least score, 1 at best; 0 where nothing was scored."""
    success: bool
    queries: int
    weight: float = 1.0
    """Less than 1: from an earlier round."""

    @property
    def arm(self) -> str:
        """What the selection chose: a strategy's name, or `evolve`."""
        return EVOLVED if self.strategy.startswith(EVOLVED + ":") else self.strategy

    @property
    def chain(self) -> tuple[str, ...]:
        """The names of the strategy's elements."""
        return tuple(self.strategy.removeprefix(EVOLVED + ":").split("+"))


def tried(history: Sequence[Exchange], weight: float = 1.0) -> Tried | None:
    """A rollout's exchanges as one memory; None for a rollout without any."""
    scored = [e for e in history if e.worst is not None]
    if not history:
        return None
    best = min(scored, key=lambda e: (e.worst, e.id)) if scored else history[-1]
    seed = best.attack.seed
    return Tried(
        id=best.id,
        seed_id=seed.id,
        cell=(seed.kind, seed.hazard),
        strategy=best.attack.strategy,
        text=best.attack.messages[-1].content,
        turns=sum(message.role == "user" for message in best.attack.messages),
        objective=1.0 - best.worst if best.worst is not None else 0.0,
        success=bool(best.success),
        queries=len(history),
        weight=weight,
    )


@dataclass
class ArmRecord:
    """Successes and failures of one arm, as sums of weights."""

    won: float = 0.0
    lost: float = 0.0

    @property
    def rate(self) -> float:
        """Mean of the posterior under a uniform prior."""
        return (self.won + 1.0) / (self.won + self.lost + 2.0)


@dataclass(frozen=True)
class State:
    """All that is remembered at one point of the schedule."""

    tried: tuple[Tried, ...] = ()

    @cached_property
    def settled(self) -> tuple[Tried, ...]:
        """What need not be played again: all of this round, and what failed in earlier ones."""
        return tuple(t for t in self.tried if t.weight == 1.0 or not t.success)

    @cached_property
    def texts(self) -> dict[str, str]:
        """Settled attack's text, in small letters -> its id."""
        return {t.text.lower(): t.id for t in self.settled}

    @cached_property
    def used(self) -> frozenset[tuple[str, tuple[str, ...]]]:
        """(seed, chain) that are settled."""
        return frozenset((t.seed_id, t.chain) for t in self.settled)

    @cached_property
    def records(self) -> dict[Cell, dict[str, ArmRecord]]:
        """Cell -> arm -> record; under (kind, None) that of the whole kind."""
        found: dict[Cell, dict[str, ArmRecord]] = {}
        for t in self.tried:
            for cell in {t.cell, (t.cell[0], None)}:
                record = found.setdefault(cell, {}).setdefault(t.arm, ArmRecord())
                record.won += t.weight * t.success
                record.lost += t.weight * (t.queries - t.success)
        return found

    def grown(self, more: Iterable[Tried]) -> State:
        """This state and what came after it."""
        return replace(self, tried=(*self.tried, *more))


@dataclass
class Memory:
    """The attacker's memory during one round."""

    start: State
    """What earlier rounds and runs left."""
    generation: int
    """Rollouts of one generation."""
    _ended: dict[int, Tried | None] = field(default_factory=dict)
    _states: dict[int, State] = field(default_factory=dict)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _complete: int = 0
    """All rollouts at lower positions have ended."""
    _wakers: set[asyncio.Task[None]] = field(default_factory=set)

    async def before(self, rollout: Rollout) -> State:
        """What a rollout may know; waits until all of that has ended."""
        generations = max(0, rollout.position // self.generation - 1)
        async with self._changed:
            await self._changed.wait_for(lambda: self._complete >= generations * self.generation)
        return self._state(generations)

    def over(self, rollout: Rollout, history: Sequence[Exchange]) -> None:
        """A rollout has ended."""
        self._ended[rollout.position] = tried(history)
        before = self._complete // self.generation
        while self._complete in self._ended:
            self._complete += 1
        if self._complete // self.generation > before:
            waker = asyncio.get_running_loop().create_task(self._wake())
            self._wakers.add(waker)
            waker.add_done_callback(self._wakers.discard)

    async def _wake(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def _state(self, generations: int) -> State:
        if generations == 0:
            return self.start
        if generations not in self._states:
            first = (generations - 1) * self.generation
            last = (self._ended[position] for position in range(first, first + self.generation))
            self._states[generations] = self._state(generations - 1).grown(t for t in last if t is not None)
        return self._states[generations]


def remembered(rounds: Iterable[tuple[int, Callable[[], Iterable[Exchange]]]], now: int) -> State:
    """What the exchanges of earlier rounds left, each round counting half of the next; rounds: (number, reader)."""
    memories: list[Tried] = []
    for number, read in rounds:
        rollouts: dict[str, list[Exchange]] = {}
        for exchange in read():
            rollouts.setdefault(rollout_of(exchange.id), []).append(exchange)
        weight = FADE ** max(1, now - number)
        memories += [memory for history in rollouts.values() if (memory := tried(history, weight)) is not None]
    return State(tuple(memories))
