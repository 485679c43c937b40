"""Which phase of a round is under way, told to whoever watches and noted in `events.jsonl`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from superalign.protocols import InferencePool, Observer, PoolStats
from superalign.store.journal import Events

T = TypeVar("T")
PROGRESS_S = 2.0
"""Seconds between two events that say how far a phase is."""


class RoundLog:
    """Tells the observer, and keeps seconds and tokens of each phase in `events.jsonl`."""

    def __init__(self, observer: Observer, pool: InferencePool, events: Events) -> None:
        self.observer, self.pool, self.events = observer, pool, events
        self.round = 0
        """The round that is played now."""

    @contextmanager
    def phase(self, name: str, total: int | None = None, done: int = 0) -> Iterator[None]:
        """A phase of `total` units (None: not counted), `done` of them from before an interruption."""
        started, tokens_before = time.monotonic(), self.pool.stats().generated_tokens
        self.events.append("phase_start", round=self.round, name=name, units=total, done=done)
        self.observer.phase(self.round, name, total, done)
        yield
        seconds = round(time.monotonic() - started, 3)
        tokens = self.pool.stats().generated_tokens - tokens_before
        self.events.append("phase", round=self.round, name=name, seconds=seconds, tokens=tokens, units=total)
        self.observer.phase_done(seconds, tokens)

    async def work_off(
        self, items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int, phase: tuple[str, int, int]
    ) -> None:
        """Await `work` for every item inside the phase (name, total, done), at most `at_once` at a time.

        Items are taken when there is room for them, so that they need not all be in memory.
        """
        with self.phase(*phase):
            await work_off(items, work, min(at_once, phase[1]))


class ProgressNotes:
    """Tells the observer, and notes in `events.jsonl` how far a phase is, for those who follow from another process."""

    def __init__(self, observer: Observer, events: Events) -> None:
        self._observer, self._events = observer, events
        self._stats: Callable[[], PoolStats] = PoolStats
        self._phase: dict[str, Any] = {}
        self._noted_at = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observer, name)

    def phase(self, round: int, name: str, total: int | None, done: int = 0) -> None:
        """Note the beginning."""
        self._observer.phase(round, name, total, done)
        self._phase = {"round": round, "name": name, "units": total, "done": done, "note": ""}
        self._note(at_once=True)

    def watch(self, stats: Callable[[], PoolStats]) -> None:
        """Where tokens are counted."""
        self._observer.watch(stats)
        self._stats = stats

    def training(self, event: dict[str, Any]) -> None:
        """Note steps and loss."""
        self._observer.training(event)
        if self._phase and "step" in event:
            loss, stage = event.get("loss"), str(event.get("stage", ""))
            note = f"{stage} loss {loss:.3f}" if isinstance(loss, float) else stage
            self._phase |= {"done": event["step"], "units": event.get("steps"), "note": note}
            self._note()

    def advance(self, units: int = 1) -> None:
        """Note the count."""
        self._observer.advance(units)
        if self._phase:
            self._phase["done"] += units
            self._note()

    def phase_done(self, seconds: float, tokens: int) -> None:
        """The loop notes the end itself."""
        self._observer.phase_done(seconds, tokens)
        self._phase = {}

    def _note(self, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self._noted_at >= PROGRESS_S:
            self._noted_at = time.monotonic()
            self._events.append("progress", **self._phase, tokens=self._stats().generated_tokens)


async def work_off(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Await `work` for every item, at most `at_once` at a time; the first error cancels the rest."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(at_once):
            workers.create_task(worker())
