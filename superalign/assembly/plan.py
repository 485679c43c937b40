"""Recipe -> the roles and the plan; the only file that names concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from superalign.analysis.attacks.records import AttackReport
from superalign.assembly.attackers import Attackers
from superalign.assembly.critics import Critics, paid_for
from superalign.assembly.engines import Engines, learner_alone
from superalign.assembly.review import review_plan, with_labels
from superalign.assembly.values import values_plan
from superalign.config.critic_calibration import COMMAND, calibration_of, error_rates
from superalign.config.inputs import Inputs, prompt_files
from superalign.config.recipe import Recipe, RoleModel
from superalign.critic.constitution import Constitution
from superalign.critic.options import RulesOptions
from superalign.critic.quality.calibrated_critic import TrustedCritic
from superalign.evaluation.evaluator import SuiteEvaluator
from superalign.learner import PoolLearner, load_revise_prompt
from superalign.loop.orchestrator import Loop, Plan
from superalign.loop.phases.attack_sets import SetsPlan
from superalign.loop.phases.attacker import Served
from superalign.loop.phases.deception_audit import AuditPlan
from superalign.loop.rollout import Roles
from superalign.loop.schedule import schedule
from superalign.models.packaged import resolve as resolve_model
from superalign.pool.choice import choose
from superalign.protocols import Comparer, Observer
from superalign.records.training import Checkpoint
from superalign.review.labels import Taught
from superalign.store.atomic import sha256_file, sha256_tree, write_json
from superalign.store.manifest import ModelSource, RunInputs
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder
from superalign.training.launcher import ChildTrainer


@asynccontextmanager
async def staged(recipe: Recipe, base_dir: Path, folder: RunFolder, observer: Observer) -> AsyncIterator[Plan]:
    """Everything a run needs, built and started; the engines stop when the block ends."""
    inputs, measured = Inputs.load(recipe, base_dir), calibration_of(recipe, base_dir)
    base = str(resolve_model(recipe.model))
    async with AsyncExitStack() as stack:
        engines = Engines(recipe.pool, folder.logs, stack)
        pool = await engines.pool(base, exclusive=learner_alone(recipe, inputs))
        attacker_pool, attacker_model = await engines.role(recipe.roles.attacker, base)
        critics = Critics(recipe, inputs, base_dir, engines, base)
        own = await critics.build(recipe.critic, recipe.roles.critic)
        critic = TrustedCritic(own, measured) if measured else own
        judge = await critics.build(recipe.judge, recipe.roles.judge)
        revise_prompt = load_revise_prompt(recipe.learner, base_dir)
        attackers = Attackers(recipe, inputs, base_dir, folder, attacker_pool, critics.embedder, critics.embed)

        async def teach(taught: Sequence[Taught]) -> None:
            critics.inputs = with_labels(replace(inputs, constitution=critics.inputs.constitution), taught)
            await rebuild()

        async def rebuild() -> None:
            nonlocal own, critic
            own = await critics.build(recipe.critic, recipe.roles.critic)
            critic = TrustedCritic(own, measured) if measured else own
            if measured:
                observer.notice(
                    f"critic_calibration was measured on {measured.labels} before the critic learned from labels; "
                    f"its thresholds stay as they are until `{COMMAND}` measures it anew for another run"
                )

        async def switch(constitution: Constitution) -> None:
            critics.inputs = replace(critics.inputs, constitution=constitution)
            await rebuild()
            evaluator.judge = await critics.build(recipe.judge, recipe.roles.judge)

        def roles(round: int, learner_model: str) -> Roles:
            return Roles(
                attacker=attackers.of_round(round, Served(attacker_model, trained=False)),
                learner=PoolLearner(pool, learner_model, recipe.learner, revise_prompt, run_seed=recipe.seed),
                critic=critic,
                num_answers=recipe.learner.num_answers,
                revise_below=recipe.learner.revise_below,
                comparer=own if isinstance(own, Comparer) else None,
            )

        evaluator = SuiteEvaluator(pool, judge, recipe.judge.type, inputs.suites, inputs.plain_text, recipe.evaluation)
        base_model = Checkpoint(id="base", base=recipe.model)

        def report(round_folder: RoundFolder) -> AttackReport:
            if (found := attackers.failures(round_folder)) is not None:
                write_json(round_folder.failures_json, found)
            return attackers.report(round_folder)

        yield Plan(
            rounds=recipe.rounds,
            rollouts=lambda round: schedule(
                inputs.seeds, recipe.attacker.per_round, recipe.seed, round, inputs.kept_out
            ),
            roles=roles,
            experts=[expert.demonstration() for expert in inputs.experts],
            base=base_model,
            pool=pool,
            trainer=ChildTrainer(recipe.training_of, base, folder.path.resolve(), recipe.seed, observer.training),
            evaluator=evaluator,
            pairing=recipe.pairing,
            gate=recipe.gate,
            report=report,
            audit=AuditPlan(inputs.suites, lambda: critic, paid_for(recipe.critic)),
            attacker=attackers.plan(roles, observer.training),
            review=review_plan(recipe, teach, critics.embed),
            sets=SetsPlan(recipe.evaluation, inputs.kept_out, recipe.seed, evaluator.over),
            values=values_plan(recipe, inputs, critics, switch, lambda: critic, pool, base_model),
            max_rollouts=recipe.max_walks,
        )


async def attack(
    recipe: Recipe, base_dir: Path, folder: RunFolder, adapter: Path | None, observer: Observer
) -> AttackReport:
    """Play the attacks of round 1 against any model; nothing is trained."""
    round_folder, base = folder.round(1), Checkpoint(id="base", base=recipe.model)
    learner = Checkpoint(id=adapter.name, base=recipe.model, adapter=str(adapter.resolve())) if adapter else base
    roles = recipe.roles.model_copy(update={"judge": RoleModel()})
    alone = recipe.evaluation.model_copy(update={"fresh": {}})  # nothing is trained, so no seed is kept out of it
    unjudged = recipe.model_copy(
        update={"judge": RulesOptions(), "roles": roles, "evaluation": alone}
    )  # no engine for who has no work
    async with staged(unjudged, base_dir, folder, observer) as plan:
        loop = Loop(plan, folder, observer)
        try:
            await loop.attack(round_folder, learner)
        finally:
            loop.events.close()
        round_folder.sort_journals()
        report = plan.report(round_folder)
    write_json(round_folder.attack_json, report)
    return report


def check(recipe: Recipe, base_dir: Path) -> list[str]:
    """What `--dry-run` says: everything a recipe names, loaded and cross-checked, and nothing started."""
    measured = calibration_of(recipe, base_dir)
    known = [f"critic: {measured.critic}, measured on {measured.labels}"] if measured else []
    base = resolve_model(recipe.model)
    model = f"model: {recipe.model}" + ("" if isinstance(base, Path) else ", from the hub when the run starts")
    return [*Inputs.load(recipe, base_dir).facts(), *known, f"pool: {choose(recipe.pool).type}", model]


def resolve(recipe: Recipe, base_dir: Path) -> tuple[dict[str, Any], RunInputs]:
    """What a run folder keeps of a recipe: every field as it came out, and the hashes of what it reads.

    Raises RecipeError where the critic does not reach the floor.
    """
    base, measured = resolve_model(recipe.model), calibration_of(recipe, base_dir)
    rates = {name: rate.model_dump(mode="json") for name, rate in error_rates(measured).items()} if measured else None
    figures = {"measured_critic": rates} if rates is not None else {}
    return recipe.model_dump(mode="json") | figures, RunInputs(
        prompts={name: sha256_file(path) for name, path in sorted(prompt_files(recipe, base_dir).items())},
        models=(ModelSource(name=recipe.model, sha256=sha256_tree(base) if isinstance(base, Path) else None),),
    )
