"""Recipe -> the cast and the plan; the only file that names concrete classes."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

from superalign.attack_report.figures import AttackReport
from superalign.build_attacker import Attackers
from superalign.critic.options import CriticOptions, PluginOptions, ProbeOptions, RubricOptions, RulesOptions
from superalign.critic.plugin import load_critic
from superalign.critic.probe import ProbeCritic
from superalign.critic.rubric import RubricCritic, load_rubric
from superalign.critic.rules import RuleCritic
from superalign.embedding import Embedder, Vectors
from superalign.evaluation.evaluator import SuiteEvaluator
from superalign.evaluation.options import EvaluationOptions
from superalign.inputs import Inputs, prompt_files, schedule
from superalign.learner import PoolLearner, load_revise_prompt
from superalign.measurements import Evaluation, ItemResult
from superalign.models import resolve as resolve_model
from superalign.orchestrator import Loop, Plan
from superalign.pool.choice import PoolOptions, choose
from superalign.pool.options import ScriptedOptions, VllmOptions
from superalign.prompts import prompt_path
from superalign.protocols import Critic, InferencePool, Observer
from superalign.recipe import Recipe, RoleModel
from superalign.records import Checkpoint
from superalign.store.files import sha256_file, sha256_tree, write_json
from superalign.store.journal import Journal
from superalign.store.manifest import ModelSource, RunInputs
from superalign.store.run_folder import RunFolder
from superalign.training.trainer import ChildTrainer
from superalign.walk import Cast


class Engines:
    """One pool per distinct base model, started when first asked for, all closed together."""

    def __init__(self, options: PoolOptions, logs: Path, stack: AsyncExitStack) -> None:
        self.options = options
        self.logs = logs
        self._stack = stack
        self._pools: dict[str, InferencePool] = {}

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


class Critics:
    """Builds critics and judges; the embedder is loaded once, however many probes there are."""

    def __init__(self, recipe: Recipe, inputs: Inputs, beside: Path, engines: Engines, base: str) -> None:
        self.recipe, self.inputs, self.beside, self.engines, self.base = recipe, inputs, beside, engines, base
        self._embedder: Embedder | None = None

    def embedder(self) -> Embedder:
        """The recipe's embedder, which all share."""
        self._embedder = self._embedder or Embedder(resolve_model(self.recipe.embedder))
        return self._embedder

    @property
    def embed(self) -> Callable[[Sequence[str]], Vectors] | None:
        """The embedder's verb, where a role has had it loaded."""
        return self._embedder.embed if self._embedder else None

    async def build(self, options: CriticOptions, role: RoleModel) -> Critic:
        """The critic that the options name."""
        constitution = self.inputs.constitution
        if isinstance(options, RulesOptions):
            return RuleCritic(constitution, trust_intent=options.trust_intent)
        if isinstance(options, ProbeOptions):
            labelled, experts = self.inputs.labelled[options.labelled], self.inputs.experts
            return await asyncio.to_thread(ProbeCritic, self.embedder(), labelled, constitution, options, experts)
        if isinstance(options, PluginOptions):
            return load_critic(options, self.beside)
        pool, model = await self.engines.role(role, self.base)
        prompt = load_rubric(prompt_path(options.prompt, self.beside))
        return RubricCritic(pool, model, prompt, constitution, options, run_seed=self.recipe.seed)


def learner_alone(recipe: Recipe, inputs: Inputs) -> bool:
    """Whether no other role asks the learner's base, so that the engine may hold merged weights."""
    own = (None, recipe.model)
    writes = any(strategy.asks_model for strategy in inputs.strategies.values())
    attacker_asks = writes and recipe.roles.attacker.model in own
    critics = ((recipe.critic, recipe.roles.critic), (recipe.judge, recipe.roles.judge))
    critic_asks = any(isinstance(options, RubricOptions) and role.model in own for options, role in critics)
    return not attacker_asks and not critic_asks


async def start_pool(base: str, options: PoolOptions, log: Path, *, exclusive: bool = False) -> InferencePool:
    """Start the engine that the options name; torch and vLLM are imported here and not before."""
    log.parent.mkdir(parents=True, exist_ok=True)
    chosen = choose(options)
    if isinstance(chosen, ScriptedOptions):
        from superalign.pool.scripted import ScriptedPool

        return ScriptedPool(chosen)
    if isinstance(chosen, VllmOptions):
        from superalign.pool.vllm import VllmPool

        pool = VllmPool(base, chosen, log, exclusive=exclusive)
        await pool.start()
        return pool
    from superalign.pool.transformers import TransformersPool

    other = TransformersPool(base, chosen)
    await other.start()
    return other


@asynccontextmanager
async def staged(recipe: Recipe, beside: Path, folder: RunFolder, observer: Observer) -> AsyncIterator[Plan]:
    """Everything a run needs, built and started; the engines stop when the block ends."""
    inputs = Inputs.load(recipe, beside)
    base = str(resolve_model(recipe.model))
    async with AsyncExitStack() as stack:
        engines = Engines(recipe.pool, folder.logs, stack)
        pool = await engines.pool(base, exclusive=learner_alone(recipe, inputs))
        attacker_pool, attacker_model = await engines.role(recipe.roles.attacker, base)
        critics = Critics(recipe, inputs, beside, engines, base)
        critic = await critics.build(recipe.critic, recipe.roles.critic)
        judge = await critics.build(recipe.judge, recipe.roles.judge)
        revise_prompt = load_revise_prompt(recipe.learner, beside)
        attackers = Attackers(recipe, inputs, beside, folder, attacker_pool, critics.embedder, critics.embed)

        def cast(round: int, learner_model: str) -> Cast:
            return Cast(
                attacker=attackers.of_round(round, attacker_model),
                learner=PoolLearner(pool, learner_model, recipe.learner, revise_prompt, run_seed=recipe.seed),
                critic=critic,
                num_answers=recipe.learner.num_answers,
                revise_below=recipe.learner.revise_below,
            )

        yield Plan(
            rounds=recipe.rounds,
            walks=lambda round: schedule(inputs.seeds, recipe.attacker.per_round, recipe.seed, round),
            cast=cast,
            experts=[expert.demonstration() for expert in inputs.experts],
            base=Checkpoint(id="base", base=recipe.model),
            pool=pool,
            trainer=ChildTrainer(recipe.training_of, base, folder.path.resolve(), recipe.seed, observer.training),
            evaluator=SuiteEvaluator(
                pool, judge, recipe.judge.type, inputs.suites, inputs.plain_text, recipe.evaluation
            ),
            pairing=recipe.pairing,
            gate=recipe.gate,
            report=attackers.report,
            attacker=attackers.plan(cast, observer.training),
            max_walks=recipe.max_walks,
        )


async def attack(
    recipe: Recipe, beside: Path, folder: RunFolder, adapter: Path | None, observer: Observer
) -> AttackReport:
    """Play the attacks of round 1 against any model; nothing is trained."""
    room, base = folder.round(1), Checkpoint(id="base", base=recipe.model)
    learner = Checkpoint(id=adapter.name, base=recipe.model, adapter=str(adapter.resolve())) if adapter else base
    roles = recipe.roles.model_copy(update={"judge": RoleModel()})
    unjudged = recipe.model_copy(update={"judge": RulesOptions(), "roles": roles})  # no engine for who has no work
    async with staged(unjudged, beside, folder, observer) as plan:
        loop = Loop(plan, folder, observer)
        try:
            await loop.attack(room, learner)
        finally:
            loop.events.close()
        room.sort_journals()
        report = plan.report(room)
    write_json(room.attack_json, report)
    return report


def check(recipe: Recipe, beside: Path) -> list[str]:
    """What `--dry-run` says: everything a recipe names, loaded and cross-checked, and nothing started."""
    return [*Inputs.load(recipe, beside).facts(), f"pool: {choose(recipe.pool).type}", f"model: {recipe.model}"]


def resolve(recipe: Recipe, beside: Path) -> tuple[dict[str, Any], RunInputs]:
    """What a run folder keeps of a recipe: every field as it came out, and the hashes of what it reads."""
    base = resolve_model(recipe.model)
    return recipe.model_dump(mode="json"), RunInputs(
        prompts={name: sha256_file(path) for name, path in sorted(prompt_files(recipe, beside).items())},
        models=(ModelSource(name=recipe.model, sha256=sha256_tree(base) if isinstance(base, Path) else None),),
    )


async def evaluate(
    model: str,
    adapter: Path | None,
    options: EvaluationOptions,
    *,
    judge: str,
    pool: str,
    items: Path | None,
    observer: Observer,
) -> Evaluation:
    """Measure any model on held-out suites outside of a run; `items` gets every reply as JSONL."""
    validated = Recipe.model_validate(
        {"name": "eval", "model": model, "pool": {"type": pool}, "critic": {"type": "probe"}, "judge": {"type": judge},
         "evaluation": options, "allow_same_judge": True}
    )  # fmt: skip
    here = Path.cwd()
    inputs = Inputs.load(validated, here)
    base = str(resolve_model(model))
    async with AsyncExitStack() as stack:
        logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="superalign-")))
        engines = Engines(validated.pool, logs, stack)
        engine, name = await engines.role(RoleModel(adapter=str(adapter) if adapter else None), base)
        observer.watch(engine.stats)
        judged_by = await Critics(validated, inputs, here, engines, base).build(validated.judge, RoleModel())
        evaluator = SuiteEvaluator(engine, judged_by, judge, inputs.suites, inputs.plain_text, options)
        observer.phase(0, "evaluate", evaluator.total)
        started = time.monotonic()
        with Journal(items, ItemResult) if items else nullcontext() as journal:

            async def note(item: ItemResult) -> None:
                if journal is not None:
                    journal.append(item)
                observer.advance()

            checkpoint = Checkpoint(id=adapter.name if adapter else "base", base=model)
            evaluation = await evaluator.evaluate(name, checkpoint, done=(), on_item=note)
        observer.phase_done(time.monotonic() - started, engine.stats().generated_tokens)
        return evaluation
