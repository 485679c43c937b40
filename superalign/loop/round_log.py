"""Which phase of a round is under way, told to whoever watches and noted in `events.jsonl`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from superalign.protocols import InferencePool, Observer
from superalign.store.journal import Events

T = TypeVar("T")


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


async def work_off(items: Iterable[T], work: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Await `work` for every item, at most `at_once` at a time; the first error cancels the rest."""
    waiting = iter(items)

    async def worker() -> None:
        for item in waiting:
            await work(item)

    async with asyncio.TaskGroup() as workers:
        for _ in range(at_once):
            workers.create_task(worker())
