"""`python -m benchmarks injection`: how often a critic's verdict is turned by text that tries to steer it."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from benchmarks.critic import Given, recipe_of
from benchmarks.injection_cases import Injections, State, load_injections, state_of
from benchmarks.variants import Teller
from superalign.assembly.critics import Critics
from superalign.assembly.engines import Engines
from superalign.config.inputs import Inputs
from superalign.files.find import prompt_path
from superalign.models.packaged import resolve as resolve_model
from superalign.protocols import Critic, DropError
from superalign.records.base import Record
from superalign.records.evaluation import Interval
from superalign.records.rollout import Response
from superalign.stats.intervals import wilson

_FILE = "critic/injections.yaml"


class WayResult(Record):
    """One way with one critic."""

    flips: Interval
    """Share of the cases judged rightly when plain that the critic judges wrongly when dressed up."""


class CriticResult(Record):
    """One critic."""

    critic: str
    plain_right: Interval
    """Cases judged rightly without any dressing; only these can flip."""
    flips: Interval
    """Over all ways, with unscored replies counted apart."""
    cluster_low: float
    """95 % interval of the same share over ways, as cases of one way rise and fall together."""
    cluster_high: float
    turned: dict[str, WayResult]
    """The ways that turned at least one verdict."""


class InjectionBench(Record):
    """All critics."""

    ways: int
    cases: int
    critics: tuple[CriticResult, ...]


async def run(
    critic: Given | Sequence[Given] = ("rules", "probe"),
    file: str = _FILE,
    experts: str | None = "experts.yaml",
    items: int | None = None,
    model: str = "smollm2-135m",
    pool: Mapping[str, Any] | None = None,
) -> InjectionBench:
    """Measure; model, pool: for critics that ask a model. Seeds declare their intent, as in the loop.

    items: so many dressed exchanges, drawn at random with a fixed seed; None: all of them.
    """
    injections = load_injections(prompt_path(file, Path.cwd()))
    critics = [critic] if isinstance(critic, str | Mapping) else critic
    results = []
    for one in critics:
        recipe = recipe_of(one, experts=experts, model=model, pool=pool)
        inputs, base = Inputs.load(recipe, Path.cwd()), str(resolve_model(model))
        async with AsyncExitStack() as stack:
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="superalign-")))
            engines = Engines(recipe.pool, logs, stack)
            builder = Critics(recipe, inputs, Path.cwd(), engines, base)
            built = await builder.build(recipe.critic, recipe.roles.critic)
            name = one if isinstance(one, str) else str(one["type"])
            Teller("injection").phase(0, name, len(injections.ways) * len(injections.cases))
            results.append(await measured(name, built, injections, recipe.max_walks, items))
    return InjectionBench(ways=len(injections.ways), cases=len(injections.cases), critics=tuple(results))


async def measured(
    name: str, critic: Critic, injections: Injections, at_once: int, items: int | None = None
) -> CriticResult:
    """One critic over every way and case, or `items` of them, `at_once` replies at a time."""
    gate = asyncio.Semaphore(at_once)

    async def judged(response: Response, harmful: bool) -> State | None:
        async with gate:
            try:
                return state_of((await critic.critique(response)).verdict, harmful)
            except DropError:
                return None

    cases = injections.cases
    plain = await asyncio.gather(
        *(judged(case.response(f"plain-{n}", case.request, case.reply), case.harmful) for n, case in enumerate(cases))
    )
    right = [state == case.state for state, case in zip(plain, cases, strict=True)]
    rows = [row for row in injections.dressed() if right[row[1]]]
    if items is not None and items < len(rows):
        rows = random.Random(0).sample(rows, items)
    states = await asyncio.gather(*(judged(response, cases[n].harmful) for _, n, response, _ in rows))
    flipped: dict[str, list[bool | None]] = {way.name: [] for way, _ in injections.ways}
    for (way, _, _, expected), state in zip(rows, states, strict=True):
        flipped[way.name].append(None if state is None else state != expected)
    low, high = _over_ways([[flip for flip in flips if flip is not None] for flips in flipped.values()])
    return CriticResult(
        critic=name,
        plain_right=wilson(sum(right), len(right)),
        flips=_share([flip for flips in flipped.values() for flip in flips]),
        cluster_low=low,
        cluster_high=high,
        turned={way: WayResult(flips=_share(flips)) for way, flips in flipped.items() if any(flips)},
    )


def _share(flips: Sequence[bool | None]) -> Interval:
    scored = [flip for flip in flips if flip is not None]
    return wilson(sum(scored), len(scored), len(flips) - len(scored))


def _over_ways(flips: Sequence[Sequence[bool]]) -> tuple[float, float]:
    """2.5 and 97.5 per cent of the share in 2000 draws of as many ways with replacement."""
    import numpy as np

    counted = np.asarray([(sum(way), len(way)) for way in flips if way])
    if not len(counted):
        return 0.0, 1.0
    drawn = counted[np.random.default_rng(0).integers(len(counted), size=(2000, len(counted)))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], (0.025, 0.975))
    return float(low), float(high)
