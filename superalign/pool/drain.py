"""Requests in flight, the door that holds new ones back, and what went through it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from superalign.protocols import PoolStats


class Gate:
    """Many requests at a time, or one closed section that waits for them to finish and holds new ones."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._shut = False
        self._changed = asyncio.Condition()
        self._one_at_a_time = asyncio.Lock()

    @asynccontextmanager
    async def request(self) -> AsyncIterator[None]:
        """Hold one request in flight; waits while the gate is closed."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._shut)
            self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1
            if self.in_flight == 0:
                async with self._changed:
                    self._changed.notify_all()

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Nothing is in flight inside the block; a second closed section waits for the first."""
        async with self._one_at_a_time:
            self._shut = True
            try:
                async with self._changed:
                    await self._changed.wait_for(lambda: self.in_flight == 0)
                yield
            finally:
                self._shut = False
                async with self._changed:
                    self._changed.notify_all()


def counted(stats: PoolStats, prompt_tokens: int, generated_tokens: int) -> PoolStats:
    """The counts after one more request."""
    return PoolStats(
        requests=stats.requests + 1,
        prompt_tokens=stats.prompt_tokens + prompt_tokens,
        generated_tokens=stats.generated_tokens + generated_tokens,
    )
