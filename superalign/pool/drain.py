"""What pools share: requests in flight, the gate that holds new ones back, the names that are served."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from superalign.errors import PoolError
from superalign.protocols import PoolStats
from superalign.records.rollout import Generation
from superalign.records.training import Checkpoint

KEPT_ADAPTERS = 3
"""Served adapters that stay loaded; with the fourth the oldest goes."""


class RequestLatch:
    """Many requests at a time, or one closed section that waits for them to finish and holds new ones."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.stats = PoolStats()
        """Counts since the start."""
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

    def count(self, prompt_tokens: int, generations: Sequence[Generation] = ()) -> None:
        """Add one request that was answered."""
        self.stats = PoolStats(
            requests=self.stats.requests + 1,
            prompt_tokens=self.stats.prompt_tokens + prompt_tokens,
            generated_tokens=self.stats.generated_tokens + sum(reply.num_tokens for reply in generations),
        )


def require_served(model: str, served: Collection[str], *, is_open: bool, merged: bool = False) -> None:
    """Raise PoolError for a closed pool, and for a name that `serve` never returned or that is served no longer.

    merged: checkpoints replace the base.
    """
    if not is_open:
        raise PoolError("the pool is closed", "start a new one")
    if model not in served:
        hint = f"it serves {', '.join(sorted(served)) or 'nothing'}; use a name that serve() returned"
        if merged:
            hint += ", or set pool.serving: adapter, which keeps the base beside its checkpoints"
        raise PoolError(f"the pool serves no model {model!r}", hint)


def adapter_folder(checkpoint: Checkpoint) -> Path | None:
    """Where a checkpoint's adapter lies; None for the base model. Raises PoolError where no weights are."""
    if checkpoint.adapter is None:
        return None
    adapter = Path(checkpoint.adapter).resolve()
    if not (adapter / "adapter_model.safetensors").is_file():
        raise PoolError(f"{adapter} holds no adapter", "pass a checkpoint with the adapter's full path")
    return adapter


def surplus(served: Collection[str]) -> list[str]:
    """The adapters to unload, oldest first; `served` is in the order of serving."""
    return [name for name in served if name != "base"][:-KEPT_ADAPTERS]
