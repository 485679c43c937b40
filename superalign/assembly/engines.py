"""One engine for each distinct base model."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from superalign.assembly.critics import asks
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe, RoleModel
from superalign.errors import PoolError
from superalign.models.packaged import resolve as resolve_model
from superalign.pool.options import PoolOptions, ScriptedOptions, VllmOptions, choose, fitted
from superalign.protocols import InferencePool
from superalign.records.training import Checkpoint


class Engines:
    """One pool per distinct base model, started when first asked for, all closed together."""

    def __init__(self, options: PoolOptions, logs: Path, stack: AsyncExitStack) -> None:
        self.options = options
        self.logs = logs
        self._stack = stack
        self._pools: dict[str, InferencePool] = {}

    def use(self, base: str, pool: InferencePool) -> None:
        """Serve a base model by a pool that somebody else started and closes."""
        self._pools[base] = pool

    async def pool(self, base: str, *, exclusive: bool = False) -> InferencePool:
        """The engine of a base model; exclusive: the learner is the only one that uses it."""
        if base not in self._pools:
            log = self.logs / f"engine-{len(self._pools)}.log"
            pool = await start_pool(base, self.options, log, exclusive=exclusive)
            self._stack.push_async_callback(pool.close)
            self._pools[base] = pool
        return self._pools[base]

    async def role(self, role: RoleModel, default: str) -> tuple[InferencePool, str]:
        """A role's engine and the name under which its model is served there."""
        base = str(resolve_model(role.model)) if role.model else default
        pool = await self.pool(base)
        if role.adapter is None:
            return pool, "base"
        checkpoint = Checkpoint(id=Path(role.adapter).name, base=base, adapter=role.adapter)
        return pool, await pool.serve(checkpoint)


def learner_alone(recipe: Recipe, inputs: Inputs) -> bool:
    """Whether no other role asks the learner's base, so that the engine may hold merged weights."""
    bases = (None, recipe.model)
    writes = any(strategy.asks_model for strategy in inputs.strategies.values())
    attacker_asks = writes and recipe.roles.attacker.model in bases
    critics = ((recipe.critic, recipe.roles.critic), (recipe.judge, recipe.roles.judge))
    critic_asks = any(asks(options, role, bases) for options, role in critics)
    return not attacker_asks and not critic_asks


@asynccontextmanager
async def outside(options: PoolOptions) -> AsyncIterator[Engines]:
    """Engines for what happens outside of a run; they stop when the block ends, and their logs go unless one failed."""
    logs, failed = Path(tempfile.mkdtemp(prefix="superalign-")), False
    try:
        async with AsyncExitStack() as stack:
            yield Engines(options, logs, stack)
    except PoolError:
        failed = True  # its message names the log
        raise
    finally:
        if not failed:
            shutil.rmtree(logs, ignore_errors=True)


async def start_pool(base: str, options: PoolOptions, log: Path, *, exclusive: bool = False) -> InferencePool:
    """Start the engine that the options name; torch and vLLM are imported here and not before."""
    log.parent.mkdir(parents=True, exist_ok=True)
    chosen = choose(options)
    if isinstance(chosen, ScriptedOptions):
        from superalign.pool.scripted import ScriptedPool

        return ScriptedPool(chosen)
    if isinstance(chosen, VllmOptions):
        from superalign.pool.vllm.pool import VllmPool

        pool = VllmPool(base, fitted(chosen, base), log, exclusive=exclusive)
        await pool.start()
        return pool
    from superalign.pool.transformers.pool import TransformersPool

    other = TransformersPool(base, fitted(chosen, base))
    await other.start()
    return other
