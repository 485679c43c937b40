"""Recipe -> Plan: everything a run needs, built and started; the only room that names concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from superalign.analysis.attacks.records import AttackReport
from superalign.assembly.attackers import Attackers
from superalign.assembly.critics import Critics, extended, paid_for
from superalign.assembly.engines import Engines, learner_alone
from superalign.config.critic_calibration import COMMAND, calibration_of, error_rates
from superalign.config.inputs import Inputs, prompt_files
from superalign.config.recipe import Recipe, RoleModel
from superalign.critic.constitution import Constitution
from superalign.critic.options import RulesOptions
from superalign.critic.quality.report import Calibration, TrustedCritic
from superalign.evaluation.evaluator import SuiteEvaluator
from superalign.evaluation.items import Suite
from superalign.files.hashes import sha256_file
from superalign.files.templates import PromptTemplate
from superalign.learner import PoolLearner, load_revise_prompt
from superalign.loop.orchestrator import Loop
from superalign.loop.phases.attacker import AttackerPlan, ServedAttacker
from superalign.loop.rollout import Roles, schedule
from superalign.models.embedder import Vectors
from superalign.models.packaged import resolve as resolve_model
from superalign.pool.options import choose
from superalign.protocols import Attacker, Comparer, Critic, Evaluator, InferencePool, Observer, Trainer
from superalign.records.rollout import Rollout
from superalign.records.training import Checkpoint
from superalign.review.labels import ProbeExample
from superalign.store.atomic import sha256_tree, write_json
from superalign.store.manifest import ModelSource, RunInputs
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder
from superalign.training.launcher import ChildTrainer


@dataclass(frozen=True)
class Parts:
    """Objects of one's own that act in a run; None: what the recipe says."""

    pool: InferencePool | None = None
    """Serves the recipe's model; whoever made it closes it."""
    attacker: Attacker | None = None
    critic: Critic | None = None
    judge: Critic | None = None
    trainer: Trainer | None = None


@dataclass
class Plan:
    """A run, assembled; obeys `superalign.loop.plan.Plan`.

    What changes while it is played can be read here: `critic` and `evaluator.judge` are who judges now,
    `critics.inputs` what they have read, its constitution the version that holds.
    """

    recipe: Recipe
    inputs: Inputs
    """As they were loaded."""
    rollouts: Callable[[int], Sequence[Rollout]]
    """round -> what it plays."""
    base: Checkpoint
    pool: InferencePool
    trainer: Trainer
    evaluator: SuiteEvaluator
    uncalibrated: Critic
    """The recipe's critic as built last, without its calibration."""
    critics: Critics
    attackers: Attackers
    attacker_model: str
    """The name under which the attacker's own model is served."""
    revise_prompt: PromptTemplate
    calibration: Calibration | None
    parts: Parts
    observer: Observer
    attacker: AttackerPlan | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.attacker = self.attackers.plan(self.roles, self.observer.training)

    @property
    def critic(self) -> Critic:
        return TrustedCritic(self.uncalibrated, self.calibration) if self.calibration else self.uncalibrated

    @property
    def critic_cost(self) -> str:
        return "plugin" if self.parts.critic else paid_for(self.recipe.critic)

    @property
    def embed(self) -> Callable[[Sequence[str]], Vectors] | None:
        return self.critics.embed

    def evaluator_over(self, suites: Sequence[Suite], besides: bool) -> Evaluator:
        return self.evaluator.over(suites, besides)

    def roles(self, round: int, learner: str) -> Roles:
        options, critic = self.recipe.learner, self.uncalibrated
        return Roles(
            attacker=self.parts.attacker
            or self.attackers.of_round(round, ServedAttacker(self.attacker_model, trained=False)),
            learner=PoolLearner(self.pool, learner, options, self.revise_prompt, run_seed=self.recipe.seed),
            critic=self.critic,
            num_answers=options.num_answers,
            revise_below=options.revise_below,
            comparer=critic if isinstance(critic, Comparer) else None,
        )

    async def teach(self, labels: Sequence[ProbeExample]) -> None:
        """Fit the critic anew on the labelled examples and what people said."""
        labelled = {name: extended(examples, labels) for name, examples in self.inputs.labelled.items()}
        await self._rebuild_critic(replace(self.critics.inputs, labelled=labelled))

    async def switch(self, constitution: Constitution) -> None:
        await self._rebuild_critic(replace(self.critics.inputs, constitution=constitution))
        if self.parts.judge is None:
            self.evaluator.judge = await self.critics.build(self.recipe.judge, self.recipe.roles.judge)

    async def value_judge(self, constitution: Constitution) -> Critic:
        """Who says whether a reply keeps a principle of this version; knows nothing of people's labels."""
        critics = copy(self.critics)
        critics.inputs = replace(self.inputs, constitution=constitution)
        assert self.recipe.values is not None
        return await critics.build(self.recipe.values.judge, self.recipe.roles.judge)

    def report(self, round_folder: RoundFolder) -> AttackReport:
        if (failures := self.attackers.failures(round_folder)) is not None:
            write_json(round_folder.failures_json, failures)
        return self.attackers.report(round_folder)

    async def _rebuild_critic(self, inputs: Inputs) -> None:
        self.critics.inputs = inputs
        if self.parts.critic is not None:
            return
        self.uncalibrated = await self.critics.build(self.recipe.critic, self.recipe.roles.critic)
        if self.calibration:
            self.observer.notice(
                f"critic_calibration was measured on {self.calibration.labels} before the critic learned from labels; "
                f"its thresholds stay as they are until `{COMMAND}` measures it anew for another run"
            )


@asynccontextmanager
async def staged(
    recipe: Recipe, base_dir: Path, folder: RunFolder, observer: Observer, parts: Parts | None = None
) -> AsyncIterator[Plan]:
    """Everything a run needs, built and started; the engines stop when the block ends."""
    inputs, calibration, parts = Inputs.load(recipe, base_dir), calibration_of(recipe, base_dir), parts or Parts()
    base, roles, per_round = str(resolve_model(recipe.model)), recipe.roles, recipe.attacker.per_round
    async with AsyncExitStack() as stack:
        observer.notice(f"loading {recipe.model} into the {choose(recipe.pool).type} pool")
        engines = Engines(recipe.pool, folder.logs, stack)
        if parts.pool is not None:
            engines.use(base, parts.pool)
        pool = await engines.pool(base, exclusive=learner_alone(recipe, inputs))
        attacker_pool, attacker_model = await engines.role(roles.attacker, base)
        critics = Critics(recipe, inputs, base_dir, engines, base)
        critic = parts.critic or await critics.build(recipe.critic, roles.critic)
        judge = parts.judge or await critics.build(recipe.judge, roles.judge)
        judge_name = "own" if parts.judge else recipe.judge.type
        yield Plan(
            recipe=recipe,
            inputs=inputs,
            rollouts=partial(schedule, inputs.seeds, per_round, recipe.seed, kept_out=inputs.kept_out),
            base=Checkpoint(id="base", base=recipe.model),
            pool=pool,
            trainer=parts.trainer
            or ChildTrainer(recipe.training_of, base, folder.path.resolve(), recipe.seed, observer.training),
            evaluator=SuiteEvaluator(pool, judge, judge_name, inputs.suites, inputs.plain_text, recipe.evaluation),
            uncalibrated=critic,
            critics=critics,
            attackers=Attackers(recipe, inputs, base_dir, folder, attacker_pool, critics.embedder, critics.embed),
            attacker_model=attacker_model,
            revise_prompt=load_revise_prompt(recipe.learner, base_dir),
            calibration=calibration,
            parts=parts,
            observer=observer,
        )


async def attack(
    recipe: Recipe,
    base_dir: Path,
    folder: RunFolder,
    adapter: Path | None,
    observer: Observer,
    parts: Parts | None = None,
) -> AttackReport:
    """Play the attacks of round 1 against any model; nothing is trained."""
    round_folder = folder.round(1)
    learner = Checkpoint(id="base", base=recipe.model)
    if adapter is not None:
        learner = Checkpoint(id=adapter.name, base=recipe.model, adapter=str(adapter.resolve()))
    alone = recipe.model_copy(
        update={
            "judge": RulesOptions(),  # no engine for who has no work
            "roles": recipe.roles.model_copy(update={"judge": RoleModel()}),
            "evaluation": recipe.evaluation.model_copy(update={"fresh": {}}),  # nothing is trained: no seed is kept out
        }
    )
    async with staged(alone, base_dir, folder, observer, parts) as plan:
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
    critic = [f"critic: {measured.critic}, measured on {measured.labels}"] if measured else []
    base = resolve_model(recipe.model)
    model = f"model: {recipe.model}" + ("" if isinstance(base, Path) else ", from the hub when the run starts")
    return [*Inputs.load(recipe, base_dir).facts(), *critic, f"pool: {choose(recipe.pool).type}", model]


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
