"""A recipe's critic or judge on items that people labelled, outside of a run."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from superalign.assembly.critics import Critics
from superalign.assembly.engines import outside
from superalign.config.critic_calibration import Who, fingerprint
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe
from superalign.critic.quality.labelled_replies import LabelledItem
from superalign.critic.quality.report import Calibration, measure
from superalign.models.packaged import resolve as resolve_model
from superalign.protocols import Critic, DropError, Observer
from superalign.records.base import HAZARDS
from superalign.records.exchange import Verdict
from superalign.records.rollout import Attack, Generation, Message, Response, Seed

_Options = TypeVar("_Options", bound=BaseModel)
_UNTOLD = {"trust_intent": False, "seed_trust": 0.5, "on_dispute": "trust_critic"}
"""Options of critics that are not told the request's declared intent."""


async def calibration(
    recipe: Recipe,
    base_dir: Path,
    labels: Path,
    items: Sequence[LabelledItem],
    *,
    who: Who = "critic",
    guarantee: tuple[float, float] | None = None,
    observer: Observer,
) -> Calibration:
    """Measure the recipe's critic; guarantee: (target, delta)."""
    verdicts = await verdicts_of(recipe, base_dir, items, who=who, observer=observer)
    name = next((verdict.critic for verdict in verdicts if verdict is not None), getattr(recipe, who).type)
    return Calibration(
        critic=name,
        fingerprint=fingerprint(recipe, base_dir, who),
        labels=labels.name,
        labels_sha256=hashlib.sha256(labels.read_bytes()).hexdigest(),
        intent_told=told(items),
        questions=measure(items, verdicts, guarantee),
    )


async def verdicts_of(
    recipe: Recipe, base_dir: Path, items: Sequence[LabelledItem], *, who: Who = "critic", observer: Observer
) -> list[Verdict | None]:
    """A verdict for each item, None if the critic gave none; engines start only if the critic asks a model.

    If the items don't declare an intent, as seeds do, the critic judges the request without being told.
    """
    options = getattr(recipe, who)
    if not told(items):
        options = unheard(options)
    inputs, base = Inputs.for_judging(recipe, base_dir), str(resolve_model(recipe.model))
    async with outside(recipe.pool) as engines:
        critic = await Critics(recipe, inputs, base_dir, engines, base).build(options, getattr(recipe.roles, who))
        observer.phase(0, "critique", len(items))
        gate = asyncio.Semaphore(recipe.max_walks)

        async def one(item: LabelledItem) -> Verdict | None:
            async with gate:
                verdict = await _verdict(critic, item)
            observer.advance()
            return verdict

        return await asyncio.gather(*(one(item) for item in items))


def told(items: Sequence[LabelledItem]) -> bool:
    """Whether the file declares intents, as seeds do."""
    return any(item.intent is not None for item in items)


def unheard(options: _Options) -> _Options:
    """A critic's options, and those of critics inside it, with no weight on the declared intent."""
    changes: dict[str, object] = {name: value for name, value in _UNTOLD.items() if name in type(options).model_fields}
    for name, value in options:
        if isinstance(value, BaseModel):
            changes[name] = unheard(value)
        elif isinstance(value, tuple) and any(isinstance(part, BaseModel) for part in value):
            changes[name] = tuple(unheard(part) for part in value)
    return options.model_copy(update=changes)


async def _verdict(critic: Critic, item: LabelledItem) -> Verdict | None:
    hazard = item.hazard if item.hazard in HAZARDS else None
    seed = Seed.model_validate({"id": item.id, "goal": item.goal, "intent": item.intent or "benign", "hazard": hazard})
    message = Message(role="user", content=item.prompt)
    attack = Attack(id=item.id, seed=seed, strategy="given", strategy_sha256="", messages=(message,))
    generation = Generation(text=item.reply, num_tokens=len(item.reply.split()))
    try:
        return (await critic.critique(Response(attack=attack, index=0, generation=generation))).verdict
    except DropError:
        return None
