"""A few attacks, played against a model outside of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from superalign.assembly.critics import Critics
from superalign.assembly.engines import outside
from superalign.attacker.strategies.protocol import Strategy
from superalign.attacker.strategies.writer import PoolWriter
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe, RoleModel
from superalign.learner import PoolLearner, load_revise_prompt
from superalign.loop.rollout import Roles
from superalign.models.packaged import resolve as resolve_model
from superalign.protocols import Observer
from superalign.records.rollout import Rollout
from superalign.standalone.preview_attacks import Played, attacker_of, played


async def attempt(
    rollouts: Sequence[Rollout],
    strategies: Mapping[str, Strategy],
    *,
    model: str,
    adapter: Path | None,
    judge: str,
    pool: str,
    observer: Observer,
) -> list[Played]:
    """Play rollouts against a model, with its base as the attacker's; the engine is gone when it returns."""
    recipe = Recipe.model_validate(
        {"name": "trial", "model": model, "pool": {"type": pool}, "critic": {"type": judge}, "judge": {"type": judge},
         "evaluation": {}, "allow_same_judge": True, "learner": {"num_answers": 1, "temperature": 0}}
    )  # fmt: skip
    here, base = Path.cwd(), str(resolve_model(model))
    inputs = Inputs.for_judging(recipe, here)
    async with outside(recipe.pool) as engines:
        engine, name = await engines.role(RoleModel(adapter=str(adapter) if adapter else None), base)
        observer.watch(engine.stats)
        critic = await Critics(recipe, inputs, here, engines, base).build(recipe.critic, RoleModel())
        learner = PoolLearner(
            engine, name, recipe.learner, load_revise_prompt(recipe.learner, here), run_seed=recipe.seed
        )
        writer = PoolWriter(engine, "base", run_seed=recipe.seed, tries=recipe.attacker.tries)
        roles = Roles(attacker_of(strategies, writer), learner, critic, num_answers=1, revise_below=0.0)
        observer.phase(0, "attack", len(rollouts))

        async def one(rollout: Rollout) -> Played:
            found = await played(roles, rollout)
            observer.advance()
            return found

        return await asyncio.gather(*(one(rollout) for rollout in rollouts))
