"""What a recipe may say about critics; a judge of evaluations is a critic, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from superalign.critic.checks.options import ChecksOptions as ChecksOptions
from superalign.critic.checks.options import Combine
from superalign.records.base import FrozenModel, Rate, Temperature
from superalign.records.exchange import Refusal

OnDispute = Literal["drop", "trust_seed", "trust_critic"]
"""What to do when the seed says harmful and the critic benign, or the reverse, and neither is unsure: give the
record up, take the seed's word, or take the critic's."""
Judgement = Literal["request_harmful", "harm", "refusal"]
EXCHANGE_SLOTS = ("conversation", "reply", "mark", "constitution")
"""What every prompt of a critic may read: both texts already stand between marks, except in a guard's prompt."""
FORM = "critic/verdict_form.md"
FORM_SLOTS = ("json", "vector")
_FORMED: Mapping[str, tuple[str, ...]] = {FORM: FORM_SLOTS}


class AsksModel(FrozenModel):
    """A critic that asks a model in the pool."""

    model: str | None = None
    """The base it asks: a known name, a folder or a hub id; None: the model of `roles.critic` or `roles.judge`."""
    adapter: str | None = None
    """Folder of a LoRA adapter on that base."""

    @property
    def asked(self) -> tuple[str | None, ...]:
        """Every base that it asks; None stands for the role's."""
        return (self.model,)

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        """Its prompt files, and the slots each may read."""
        return {}


class Writes(AsksModel):
    """A critic that writes, and how."""

    max_tokens: Annotated[int, Field(gt=0)] = 400
    """Of one answer."""
    temperature: Temperature = 0.0
    """Of the first try; the second is at 0.3 at least, since a greedy one would repeat the first."""


class FillsForm(Writes):
    """A critic whose answers have a form."""

    format: Literal["auto", "json", "tagged"] = "auto"
    """json: the engine constrains the answer to a schema, which only vLLM does; tagged: a line for each judgement;
    auto: json where the engine is vLLM."""


class WritesVerdicts(FillsForm):
    """A critic that writes verdicts."""

    combine: Combine | None = None
    """Ask for a score of every principle that bears on the exchange, and combine them so; None: one score in all."""

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return _FORMED


class RubricOptions(WritesVerdicts):
    """An LLM reads the constitution and judges; worth it from about 7B parameters on."""

    type: Literal["rubric"] = "rubric"
    prompt: str = "critic/rubric.md"
    on_dispute: OnDispute = "trust_critic"
    compare: bool = False
    """As the recipe's `critic`: hold the best answer against the worst in both orders; a pair that this does not
    confirm is not trained on."""
    compare_prompt: str = "critic/compare.md"

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        own = {self.prompt: (*EXCHANGE_SLOTS, "form"), **_FORMED}
        slots = ("conversation", "first", "second", "mark", "constitution")
        return {**own, self.compare_prompt: slots} if self.compare else own


class DebateJudge(FrozenModel):
    """The model that decides a debate; it may be weaker than those who argue."""

    model: str | None = None
    """None: the model of the role."""
    adapter: str | None = None


class DebateOptions(WritesVerdicts):
    """One model argues for the reply and against it, quoting it; a judge decides on what was said."""

    type: Literal["debate"] = "debate"
    argue_prompt: str = "critic/debate.md"
    judge_prompt: str = "critic/debate_judge.md"
    judge: DebateJudge = DebateJudge()
    rounds: Annotated[int, Field(ge=1, le=4)] = 1
    """How often each side speaks; from the second time on it has read the other."""
    on_dispute: OnDispute = "trust_critic"

    @property
    def asked(self) -> tuple[str | None, ...]:
        return (self.model, self.judge.model)

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        argue, judge = (*EXCHANGE_SLOTS, "side", "transcript", "json"), (*EXCHANGE_SLOTS, "form", "transcript")
        return {self.argue_prompt: argue, self.judge_prompt: judge, **_FORMED}


class GuardOptions(Writes):
    """A guard model that answers in a form of its own (Llama Guard, WildGuard, ShieldGemma, Granite Guardian)."""

    type: Literal["guard"] = "guard"
    template: tuple[str, ...]
    """Prompt files with the guard's labels, such as `critic/guards/wildguard.md`: one, or one for each question."""
    labels: dict[Judgement, dict[str, Rate | Refusal]] = Field(default_factory=dict)
    """For each judgement what a pattern (searched in the answer) stands for; instead of those of the files."""
    trust_intent: bool = True
    """Take the seed's word about the request where the guard is not asked."""
    max_tokens: Annotated[int, Field(gt=0)] = 48

    @field_validator("template", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(self.template, EXCHANGE_SLOTS)


class StrongRejectOptions(FillsForm):
    """The rubric of StrongREJECT: refused or not, how convincing, how specific. A judge rather than a critic."""

    type: Literal["strongreject"] = "strongreject"
    prompt: str = "critic/strongreject.md"
    max_tokens: Annotated[int, Field(gt=0)] = 96

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return {self.prompt: ("conversation", "reply", "mark", "json")}


class LogprobOptions(AsksModel):
    """P(yes) at the answer token of yes/no questions: one forward pass each, nothing is written."""

    type: Literal["logprob"] = "logprob"
    prompt: str = "critic/logprob.md"
    """Its front matter holds the questions: one for each judgement, and `principles` for the constitution's."""
    combine: Combine | None = None
    """Ask about every principle of the constitution as well, and combine the answers so; None: only the judgements."""
    on_dispute: OnDispute = "trust_critic"
    dispute_margin: Rate = 0.8
    """A dispute is a probability of at least this for the opposite of what the seed declares."""
    seed_trust: Rate = 0.5
    """How often the seed's declared intent is right; 0.5 leaves the verdict on the request to the model alone."""

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return {self.prompt: (*EXCHANGE_SLOTS, "question")}


class ClassifierOptions(FrozenModel):
    """A sequence classifier of the transformers library, in this process."""

    type: Literal["classifier"] = "classifier"
    model: str
    """Its folder or hub id."""
    labels: Annotated[dict[str, Judgement], Field(min_length=1)]
    """What the classifier's labels stand for; those that are not named stand for nothing of the kind."""
    reads: Literal["pair", "reply", "request"] = "pair"
    """What it is given: request and reply as a pair of texts, or one of the two."""
    trust_intent: bool = True
    """Take the seed's word about the request where no label stands for it."""
    max_tokens: Annotated[int, Field(ge=8)] = 512
    """Longer texts are cut there."""


Question = Literal["harm", "refusal", "request"]
"""harm: is the reply harmful; refusal: how far does it refuse; request: does the request ask for harm."""


class FloorOptions(FrozenModel):
    """Limits that the figures in `critic_calibration` must keep; None: no limit."""

    question: Question = "harm"
    """Whose figures."""
    kappa: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Least Cohen's kappa with the majority of people."""
    precision: Rate | None = None
    """Least precision."""
    recall: Rate | None = None
    """Least recall."""
    auroc: Rate | None = None
    """Least area under the ROC curve."""
    ece: Rate | None = None
    """Greatest expected calibration error."""
    abstention: Rate | None = None
    """Greatest share of items without a verdict."""
    items: Annotated[int, Field(ge=1)] = 50
    """Fewest scored items that count as a measurement."""


class RulesOptions(FrozenModel):
    """Phrase rules: a transparent judge of refusals that needs no model."""

    type: Literal["rules"] = "rules"
    trust_intent: bool = True
    """Take the seed's intent for the request's; else only the refusal is judged, and there is no score."""


class ProbeOptions(FrozenModel):
    """Sentence embedding + logistic regression, fitted in seconds on the few labelled examples in `prompts/`."""

    type: Literal["probe"] = "probe"
    labelled: str = "critic/labelled.yaml"
    """Labelled requests and replies; relative to the recipe, then to what superalign ships."""
    learn_from_experts: bool = True
    """Fit on the expert demonstrations as well: their prompts and their replies."""
    on_dispute: OnDispute = "trust_seed"
    dispute_margin: Rate = 0.8
    """A dispute is a probability of at least this for the opposite of what the seed declares."""
    seed_trust: Rate = 0.9
    """How often the seed's declared intent is right; 0.5 leaves the verdict on the request to the probe alone."""


class PluginOptions(FrozenModel):
    """Anyone's class with `critique(messages, reply)`, which returns a dict with fields of a Verdict."""

    type: Literal["plugin"] = "plugin"
    path: str
    """A `.py` file or package folder, relative to the recipe, or an entry point of the group `superalign.critics`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Handed to its constructor."""


class CommitteeOptions(FrozenModel):
    """Several critics vote; their disagreement is kept."""

    type: Literal["committee"] = "committee"
    members: Annotated[tuple[CriticOptions, ...], Field(min_length=2)]
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """The weight of each member's vote; empty: from `calibrations`, else equal ones."""
    calibrations: tuple[str, ...] = ()
    """For each member the file that `superalign critic calibrate` wrote of it: its reliability by hazard is its
    weight."""

    @model_validator(mode="after")
    def _one_for_each(self) -> CommitteeOptions:
        for name, given in (("weights", self.weights), ("calibrations", self.calibrations)):
            if given and len(given) != len(self.members):
                raise ValueError(f"{len(given)} {name} for {len(self.members)} members; give one for each, or none")
        if self.weights and self.calibrations:
            raise ValueError("weights and calibrations are both given; keep one")
        if self.weights and not sum(self.weights):
            raise ValueError("all weights are 0; give one member a vote")
        return self


class SecondLookOptions(WritesVerdicts):
    """A critique of the critique: a model reads the exchange and the first verdict, and may overturn it."""

    type: Literal["second_look"] = "second_look"
    first: CriticOptions
    """Whose verdicts are looked at."""
    prompt: str = "critic/second_look.md"
    depth: Annotated[int, Field(ge=1, le=4)] = 1
    """How many looks at most: each reads the one before it, and the first that upholds it is the last."""

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return {**super().prompts, self.prompt: (*EXCHANGE_SLOTS, "form", "earlier")}


CriticOptions: TypeAlias = Annotated[
    RulesOptions
    | ProbeOptions
    | RubricOptions
    | GuardOptions
    | ClassifierOptions
    | LogprobOptions
    | ChecksOptions
    | CommitteeOptions
    | DebateOptions
    | SecondLookOptions
    | StrongRejectOptions
    | PluginOptions,
    Field(discriminator="type"),
]
CommitteeOptions.model_rebuild()
SecondLookOptions.model_rebuild()


def within(options: CriticOptions) -> Iterator[CriticOptions]:
    """A critic's options and those of every critic inside it."""
    yield options
    inner = options.members if isinstance(options, CommitteeOptions) else ()
    for part in (options.first,) if isinstance(options, SecondLookOptions) else inner:
        yield from within(part)
