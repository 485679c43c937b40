"""Recipe -> what is measured of values: as plan.py does for the other roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from superalign.assembly.critics import Critics
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe
from superalign.critic.constitution import Constitution
from superalign.loop.phases.constitution_change import ValuesPlan
from superalign.protocols import Critic, InferencePool
from superalign.records.training import Checkpoint


def values_plan(
    recipe: Recipe,
    inputs: Inputs,
    critics: Critics,
    switch: Callable[[Constitution], Awaitable[None]],
    critic: Callable[[], Critic],
    pool: InferencePool,
    base: Checkpoint,
) -> ValuesPlan | None:
    """None: the recipe names no held-out requests by principle."""
    options = recipe.values
    if options is None:
        return None

    async def judge(constitution: Constitution) -> Critic:
        return await replace(critics, inputs=replace(inputs, constitution=constitution)).build(
            options.judge, recipe.roles.judge
        )

    return ValuesPlan(
        options=options, pairing=recipe.pairing, items=inputs.value_items, versions=inputs.versions, switch=switch,
        judge=judge, critic=critic, pool=pool, base=base, alone=not inputs.suites, max_rollouts=recipe.max_walks,
    )  # fmt: skip
