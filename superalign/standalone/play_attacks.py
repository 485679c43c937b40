"""A few attacks outside of a run: played against a model, or previewed without any."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from superalign.assembly.critics import Critics
from superalign.assembly.engines import outside
from superalign.attacker.attacker import SearchingAttacker
from superalign.attacker.evolve import Breeder
from superalign.attacker.history import Memory, State
from superalign.attacker.options import AttackerOptions
from superalign.attacker.strategies.protocol import Strategy, Writer
from superalign.attacker.strategies.writer import PoolWriter
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe, RoleModel
from superalign.learner import PoolLearner, load_revise_prompt
from superalign.loop.rollout import Roles, play
from superalign.models.packaged import resolve as resolve_model
from superalign.protocols import Attacker, DropError, Observer
from superalign.records.exchange import Critique, Dropped, Exchange, Revision
from superalign.records.rollout import Attack, Draft, Generation, Messages, Response, Rollout

UNWRITTEN = "(what the attacker's model writes)"
UNSAID = "(what the model replies)"
Played = list[Exchange | Dropped]
"""One rollout."""


class _Rehearsal:
    """Writer, learner and critic of a rollout in which no model speaks."""

    async def write(
        self, id: str, prompt: Messages, goal: str, *, max_tokens: int, temperature: float, min_overlap: float
    ) -> Draft:
        return Draft(prompt=prompt, text=UNWRITTEN)

    async def respond(self, attack: Attack, n: int) -> list[Response]:
        return [Response(attack=attack, index=0, generation=Generation(text=UNSAID, num_tokens=0))]

    async def revise(self, critique: Critique) -> Revision:
        raise DropError("nothing is revised in a rehearsal")

    async def critique(self, response: Response) -> Critique:
        raise DropError("nobody judges a rehearsal")


async def rehearse(rollouts: Sequence[Rollout], strategies: Mapping[str, Strategy]) -> list[Played]:
    """The attacks as they would be sent, with words in brackets for what a model would write or reply.

    Nothing is judged, which is no loss, and a turn that prepares another one stands in that one.
    """
    nobody = _Rehearsal()
    roles = Roles(_attacker(strategies, nobody), nobody, nobody, num_answers=1, revise_below=0.0)
    return [
        [
            record
            for record in await _played(roles, rollout)
            if (record.stage == "attack" if isinstance(record, Dropped) else not record.attack.setup)
        ]
        for rollout in rollouts
    ]


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
        roles = Roles(_attacker(strategies, writer), learner, critic, num_answers=1, revise_below=0.0)
        observer.phase(0, "attack", len(rollouts))

        async def one(rollout: Rollout) -> Played:
            records = await _played(roles, rollout)
            observer.advance()
            return records

        return await asyncio.gather(*(one(rollout) for rollout in rollouts))


def _attacker(strategies: Mapping[str, Strategy], writer: Writer) -> Attacker:
    """Plays each rollout with the strategy that its seed names."""
    options = AttackerOptions()
    memory = Memory(State(), options.generation)
    return SearchingAttacker(strategies, options, writer, memory, Breeder({}), run_seed=0)


async def _played(roles: Roles, rollout: Rollout) -> Played:
    return [record async for record in play(roles, rollout, (), ended=False)]
