"""Recipe -> critics and judges: as plan.py does for the other roles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe, RoleModel
from superalign.critic.checks.critic import ChecksCritic, load_functions
from superalign.critic.classifier import ClassifierCritic
from superalign.critic.committee import CommitteeCritic, Weigh, weight_of
from superalign.critic.debate import DebateCritic
from superalign.critic.guard import GuardCritic, GuardPrompt
from superalign.critic.llm.ask import Asker, Judge
from superalign.critic.logprob import LogprobCritic, Questions
from superalign.critic.options import (
    FORM,
    AsksModel,
    ChecksOptions,
    ClassifierOptions,
    CommitteeOptions,
    CriticOptions,
    DebateOptions,
    FillsForm,
    GuardOptions,
    LogprobOptions,
    PluginOptions,
    ProbeOptions,
    RubricOptions,
    RulesOptions,
    SecondLookOptions,
    StrongRejectOptions,
    Writes,
    WritesVerdicts,
    within,
)
from superalign.critic.plugin import load_critic
from superalign.critic.probe.critic import ProbeCritic
from superalign.critic.probe.examples import Labelled, LabelledPair, LabelledReply, LabelledRequest
from superalign.critic.quality.report import load_calibration
from superalign.critic.rubric import ComparingRubric, RubricCritic
from superalign.critic.rules import RuleCritic
from superalign.critic.second_look import SecondLookCritic
from superalign.critic.strongreject import StrongRejectCritic
from superalign.errors import RecipeError
from superalign.files.find import prompt_path
from superalign.files.templates import PromptTemplate, load_prompt
from superalign.models.embedder import Embedder, Vectors
from superalign.models.packaged import resolve as resolve_model
from superalign.models.sequence_classifier import SequenceClassifier
from superalign.pool.options import choose
from superalign.protocols import Critic, InferencePool
from superalign.records.base import Hazard
from superalign.records.rollout import user_text
from superalign.review.labels import ProbeExample


class Serves(Protocol):
    """What critics need of the engines."""

    async def role(self, role: RoleModel, default: str) -> tuple[InferencePool, str]:
        """A role's engine and the name under which its model is served there."""
        ...


@dataclass
class Critics:
    """Builds critics and judges; the embedder is loaded once, however many probes there are."""

    recipe: Recipe
    inputs: Inputs
    base_dir: Path
    """Folder of the recipe."""
    engines: Serves
    base: str
    """The learner's base, as a loader takes it."""
    _embedder: Embedder | None = field(default=None, init=False)

    def embedder(self) -> Embedder:
        """The recipe's embedder, which all share."""
        self._embedder = self._embedder or Embedder(resolve_model(self.recipe.embedder))
        return self._embedder

    @property
    def embed(self) -> Callable[[Sequence[str]], Vectors] | None:
        """The embedder's verb, where a role has had it loaded."""
        return self._embedder.embed if self._embedder else None

    async def build(self, options: CriticOptions, role: RoleModel) -> Critic:
        """The critic that the options name, with all that are inside it."""
        constitution = self.inputs.constitution
        match options:
            case RulesOptions():
                return RuleCritic(constitution, trust_intent=options.trust_intent)
            case ProbeOptions():
                labelled, experts = self.inputs.labelled[options.labelled], self.inputs.experts
                return await asyncio.to_thread(ProbeCritic, self.embedder(), labelled, constitution, options, experts)
            case PluginOptions():
                return load_critic(options, self.base_dir)
            case ChecksOptions():
                return ChecksCritic(options, constitution, load_functions(options, self.base_dir))
            case ClassifierOptions():
                classifier = SequenceClassifier(resolve_model(options.model), max_tokens=options.max_tokens)
                await asyncio.to_thread(classifier.load, options.labels)
                return ClassifierCritic(classifier, constitution, options)
            case CommitteeOptions():
                members = [await self.build(member, role) for member in options.members]
                return CommitteeCritic(members, self._weigh(options))
            case _:
                return await self._asking(options, role)

    async def _asking(self, options: AsksModel, role: RoleModel) -> Critic:
        constitution = self.inputs.constitution
        pool, model = await self.engines.role(_own(options, role), self.base)
        match options:
            case LogprobOptions():
                questions = Questions.of(self._prompt(options, options.prompt))
                return LogprobCritic(pool, model, questions, constitution, options, run_seed=self.recipe.seed)
            case GuardOptions():
                prompts = [GuardPrompt.of(self._prompt(options, name), options.labels) for name in options.template]
                asker = self._asker(options, pool, model)
                return GuardCritic(asker, prompts, constitution, trust_intent=options.trust_intent)
            case RubricOptions():
                judge, prompt = self._judge(options, pool, model), self._prompt(options, options.prompt)
                if not options.compare:
                    return RubricCritic(judge, prompt, options.on_dispute)
                return ComparingRubric(judge, prompt, options.on_dispute, self._prompt(options, options.compare_prompt))
            case DebateOptions():
                judge_model = RoleModel(model=options.judge.model, adapter=options.judge.adapter)
                judge = self._judge(options, *await self.engines.role(_own(judge_model, role), self.base))
                argue, decide = (self._prompt(options, name) for name in (options.argue_prompt, options.judge_prompt))
                return DebateCritic(self._filling(options, argue, pool, model), argue, judge, decide, options)
            case SecondLookOptions():
                first, prompt = await self.build(options.first, role), self._prompt(options, options.prompt)
                return SecondLookCritic(first, self._judge(options, pool, model), prompt, options.depth)
            case StrongRejectOptions():
                prompt = self._prompt(options, options.prompt)
                return StrongRejectCritic(self._filling(options, prompt, pool, model), prompt)
            case _:
                raise AssertionError(f"no critic for {type(options).__name__}")

    def _prompt(self, options: AsksModel, name: str) -> PromptTemplate:
        return load_prompt(prompt_path(name, self.base_dir), options.prompts[name])

    def _asker(self, options: Writes, pool: InferencePool, model: str, *, structured: bool = False) -> Asker:
        return Asker(pool, model, self.recipe.seed, options.max_tokens, options.temperature, structured=structured)

    def _filling(self, options: FillsForm, prompt: PromptTemplate, pool: InferencePool, model: str) -> Asker:
        """prompt: the one that tells the form; one of the user's own that knows only lines is not answered in JSON."""
        engine, reads_json = choose(self.recipe.pool).type, "json" in prompt.slots
        if options.format == "json" and (engine == "transformers" or not reads_json):
            reason = "only vLLM holds replies to a schema" if reads_json else "it never reads {{ json }}"
            raise RecipeError(f"format: json of {prompt.path}: {reason}", "set the critic's format to auto or tagged")
        structured = reads_json and (options.format == "json" or (options.format == "auto" and engine == "vllm"))
        return self._asker(options, pool, model, structured=structured)

    def _judge(self, options: WritesVerdicts, pool: InferencePool, model: str) -> Judge:
        form = self._prompt(options, FORM)
        asker = self._filling(options, form, pool, model)
        return Judge(asker, form, self.inputs.constitution, options.combine)

    def _weigh(self, options: CommitteeOptions) -> Weigh:
        calibrations = [load_calibration(prompt_path(name, self.base_dir)) for name in options.calibrations]

        def weigh(place: int, hazard: Hazard | None) -> float:
            if not calibrations:
                return options.weights[place] if options.weights else 1.0
            reliability = calibrations[place].reliability(hazard)
            return 0.0 if reliability is None else weight_of(reliability)

        return weigh


def asks(options: CriticOptions, role: RoleModel, bases: Sequence[str | None]) -> bool:
    """Whether a critic, or one inside it, asks one of these bases; None stands for the learner's."""
    models = (model for part in within(options) if isinstance(part, AsksModel) for model in part.asked)
    return any((model or role.model) in bases for model in models)


def paid_for(options: CriticOptions) -> str:
    """The type of a critic, it or one inside it, whose verdicts cost more than a moment of a core; empty: none does."""
    asked = (part.type for part in within(options) if isinstance(part, AsksModel | PluginOptions))
    return next(asked, "")


def _own(options: AsksModel | RoleModel, role: RoleModel) -> RoleModel:
    """The critic's own model, or the role's where it names none."""
    if options.model is None and options.adapter is None:
        return role
    return RoleModel(model=options.model or role.model, adapter=options.adapter)


def extended(known: Labelled, taught: Sequence[ProbeExample]) -> Labelled:
    """Labelled examples and what people said; a text that is there already keeps its label."""
    requests = {text for text, _ in known.all_requests()}
    replies = {text for text, _ in known.all_replies()}
    pairs, alone, asked = list(known.pairs), list(known.replies), list(known.requests)
    for row in taught:
        request = user_text(row.prompt)
        fresh = bool(row.reply.strip()) and row.reply not in replies
        if fresh and row.harmful is not None and row.harmful_reply is not None and request not in requests:
            pairs.append(
                LabelledPair.model_validate({"request": request, "harmful": row.harmful, _place(row): (row.reply,)})
            )
        else:
            if fresh:
                alone.append(LabelledReply(text=row.reply, refusal=row.refusal))
            if row.harmful is not None and request not in requests:
                asked.append(LabelledRequest(text=request, harmful=row.harmful))
        requests.add(request)
        replies.add(row.reply)
    return Labelled(requests=tuple(asked), replies=tuple(alone), pairs=tuple(pairs))


def _place(row: ProbeExample) -> str:
    """Under which name of a `LabelledPair` the reply belongs."""
    if row.refusal == "full":
        return "full"
    if row.refusal == "partial":
        return "warns" if row.harmful_reply else "partial"
    return "misses" if row.harmful and not row.harmful_reply else "does"
