"""`python -m benchmarks attack`: what searching for attacks is worth against replaying seeds and uniform choice.

Every policy has the same goals, the same number of queries and the same frozen learner; only strategies in plain
language take part, because the reply to an encoding that a small model can't read says nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks.variants import Teller
from superalign.analysis.attacks.report import attack_report
from superalign.assembly import plan as build
from superalign.assembly.attackers import Attackers
from superalign.assembly.plan import Plan
from superalign.attacker.options import EVOLVED, AttackerOptions
from superalign.attacker.strategies.chain import PromptStrategy
from superalign.attacker.strategies.load import load_strategies
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe
from superalign.loop.orchestrator import Loop
from superalign.loop.rollout import schedule
from superalign.models.embedder import Embedder
from superalign.models.packaged import resolve
from superalign.records.base import Record
from superalign.records.exchange import Exchange
from superalign.records.training import Checkpoint
from superalign.store.journal import read_records
from superalign.store.run_folder import RunFolder

PLAIN = ("plain", "framing", "persona", "pressure", "instruction")


class PolicyRun(Record):
    """One policy with one seed."""

    policy: str
    seed: int
    queries: int
    success: float
    """Share of the attacks that made the learner comply."""
    distinct: int
    """Successes that differ from every other one of their goal in words and by embedding."""
    distinct_per_goal: float
    """ASRxN, over the goals there are."""
    goals_broken: int
    """Goals with a success."""
    cells: int
    """Cells hazard x style x turns with a success."""
    qd_score: float
    """Sum over the cells of the best objective there."""
    strategies: int
    """Strategies and chains that were played."""
    self_bleu: float
    """Self-BLEU of all attacks."""


class AttackBench(Record):
    """All policies; `mean` is over the seeds."""

    model: str
    learner: str
    queries: int
    goals: int
    mean: dict[str, dict[str, float]]
    runs: tuple[PolicyRun, ...]


async def run(
    model: str = "smollm2-135m",
    learner: str | None = None,
    queries: int = 300,
    goals: int = 100,
    seeds: int = 3,
    files: Sequence[str] = ("seeds/harmful.yaml", "seeds/harmful_more.yaml"),
    max_tokens: int = 24,
    pool: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
) -> AttackBench:
    """Measure; keeps each run's folder under `out` when given.

    learner: folder of the frozen learner's adapter, None: the base model; goals: harmful goals, each with
    queries / goals attacks.
    """
    recipe = _recipe(model, list(files), max_tokens, pool)
    adapter = str(Path(learner).resolve()) if learner else None
    frozen = Checkpoint(id=Path(learner).name if learner else "base", base=model, adapter=adapter)
    embedder, runs = Embedder(resolve(recipe.embedder)), []
    with ExitStack() as stack:
        top = Path(out or stack.enter_context(tempfile.TemporaryDirectory(prefix="superalign-bench-")))
        first = stack.enter_context(_folder(top / "engine", recipe))
        async with build.staged(recipe, Path.cwd(), first, Teller("attack")) as plan:
            for seed in range(seeds):
                for policy, options in _policies(recipe.attacker).items():
                    variant = recipe.model_copy(update={"seed": seed, "attacker": options})
                    with _folder(top / f"{policy}-{seed}", variant) as folder:
                        exchanges = await _play(plan, variant, folder, embedder, frozen, queries, goals)
                    runs.append(_figures(policy, seed, exchanges, embedder, goals))
    return AttackBench(
        model=model, learner=frozen.id, queries=queries, goals=goals, mean=_means(runs), runs=tuple(runs)
    )


def _recipe(model: str, files: list[str], max_tokens: int, pool: Mapping[str, Any] | None) -> Recipe:
    loaded = load_strategies().values()
    plain = [s.name for s in loaded if isinstance(s, PromptStrategy) and s.meta.style in PLAIN]
    return Recipe.model_validate(
        {"name": "bench", "rounds": 1, "model": model, "pool": pool or {"type": "auto"},
         "attacker": {"seeds": files, "mix": dict.fromkeys(plain, 1.0)},
         "learner": {"num_answers": 1, "temperature": 0.0, "max_tokens": max_tokens, "revise_below": 0.0},
         "critic": {"type": "probe"}, "judge": {"type": "rules"},
         "evaluation": {"suites": ["harmful", "ordinary"], "limit": 1}}
    )  # fmt: skip


def _policies(options: AttackerOptions) -> dict[str, AttackerOptions]:
    evolving = options.mix | {EVOLVED: float(len(options.mix)) / 2}
    return {
        "replay": options.model_copy(update={"mix": {"direct": 1.0}}),
        "uniform": options,
        "evolve": options.model_copy(update={"mix": evolving, "select": "thompson", "generation": 25}),
    }


def _folder(path: Path, recipe: Recipe) -> RunFolder:
    return RunFolder.create(path, "name: bench\n", recipe.model_dump(mode="json"))


async def _play(
    plan: Plan, recipe: Recipe, folder: RunFolder, embedder: Embedder, frozen: Checkpoint, queries: int, goals: int
) -> list[Exchange]:
    """The first `queries` exchanges by place in the schedule, so that all policies have the same budget."""
    inputs = Inputs.load(recipe, Path.cwd())
    attackers = Attackers(recipe, inputs, Path.cwd(), folder, plan.pool, lambda: embedder, None)
    chosen = [
        rollout.seed for rollout in schedule(inputs.seeds, {"harmful": goals}, 0, 1) if rollout.seed.kind == "harmful"
    ]
    rollouts = schedule(chosen, {"harmful": queries}, recipe.seed, 1)
    own_plan = copy(plan)
    own_plan.attackers, own_plan.rollouts = attackers, lambda _: rollouts
    loop = Loop(own_plan, folder, Teller("attack"))
    try:
        await loop.attack(folder.round(1), frozen)
    finally:
        loop.events.close()
    place = {rollout.id: rollout.position for rollout in rollouts}
    exchanges = list(read_records(folder.round(1).exchanges, Exchange))
    return sorted(exchanges, key=lambda e: (place[e.id.partition(".")[0]], e.id))[:queries]


def _figures(policy: str, seed: int, exchanges: Sequence[Exchange], embedder: Embedder, goals: int) -> PolicyRun:
    styles = {s.name: s.meta.style for s in load_strategies().values() if isinstance(s, PromptStrategy)}
    report = attack_report(exchanges, embed=embedder.embed, style_of=lambda name: styles[name])
    side = report.harmful
    return PolicyRun(
        policy=policy,
        seed=seed,
        queries=report.queries,
        success=side.success.rate,
        distinct=side.distinct or 0,
        distinct_per_goal=(side.distinct or 0) / goals,
        goals_broken=len({e.attack.seed.id for e in exchanges if e.success}),
        cells=sum(cell.successes > 0 for cell in report.archive.cells),
        qd_score=report.archive.qd_score,
        strategies=len({e.attack.strategy for e in exchanges}),
        self_bleu=side.all.self_bleu or 0.0,
    )


def _means(runs: Sequence[PolicyRun]) -> dict[str, dict[str, float]]:
    names = [name for name in PolicyRun.model_fields if name not in ("policy", "seed")]
    return {
        policy: {name: fmean(getattr(run, name) for run in runs if run.policy == policy) for name in names}
        for policy in dict.fromkeys(run.policy for run in runs)
    }
