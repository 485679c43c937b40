"""Options of critics in a recipe; the judge of an evaluation is a critic, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from superalign.critic.checks.options import ChecksOptions as ChecksOptions
from superalign.critic.checks.options import Combine
from superalign.errors import PromptFileError
from superalign.files.find import prompt_path
from superalign.files.yaml_lines import Faults, Loc, load_yaml_with_lines
from superalign.records.base import FrozenModel, Rate, Temperature
from superalign.records.exchange import Refusal

OnDispute = Literal["drop", "trust_seed", "trust_critic"]
"""What to do if the seed says harmful and the critic surely benign, or the reverse: drop the record, believe the seed,
or believe the critic."""
Judgement = Literal["request_harmful", "harm", "refusal"]
EXCHANGE_SLOTS = ("conversation", "reply", "mark", "constitution")
"""Slots that every critic's prompt may use; both texts come between marks, except in a guard's prompt."""
FORM = "critic/verdict_form.md"
FORM_SLOTS = ("json", "vector")
_FORMED: Mapping[str, tuple[str, ...]] = {FORM: FORM_SLOTS}


class AsksModel(FrozenModel):
    """A critic that asks a model in the pool."""

    model: str | None = None
    """Base model: a known name, a folder or a hub id; None: the model of `roles.critic` or `roles.judge`."""
    adapter: str | None = None
    """Folder of a LoRA adapter on that base."""

    @property
    def asked(self) -> tuple[str | None, ...]:
        """Every base model that it asks; None stands for the role's."""
        return (self.model,)

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        """Its prompt files and the slots that each may use."""
        return {}


class Writes(AsksModel):
    """A critic whose model writes an answer."""

    max_tokens: Annotated[int, Field(gt=0)] = 400
    """Longest answer, tokens."""
    temperature: Temperature = 0.0
    """Temperature of the first try; the second is at 0.3 or more, since a greedy one would repeat the first."""


class FillsForm(Writes):
    """A critic whose answers follow a form."""

    format: Literal["auto", "json", "tagged"] = "auto"
    """json: the engine holds the answer to a schema, which only vLLM can; tagged: one line per judgement; auto: json on
    vLLM, else tagged."""


class WritesVerdicts(FillsForm):
    """A critic that writes verdicts."""

    combine: Combine | None = None
    """Ask for a score of every relevant principle and combine them like this; None: ask for one score in all."""

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return _FORMED


class RubricOptions(WritesVerdicts):
    """An LLM reads the constitution and judges; useful from about 7B parameters on."""

    type: Literal["rubric"] = "rubric"
    prompt: str = "critic/rubric.md"
    on_dispute: OnDispute = "trust_critic"
    compare: bool = False
    """As the recipe's `critic`: also compare the best answer with the worst in both orders, and train on no pair that
    this does not confirm."""
    compare_prompt: str = "critic/compare.md"

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        judging = {self.prompt: (*EXCHANGE_SLOTS, "form"), **_FORMED}
        slots = ("conversation", "first", "second", "mark", "constitution")
        return {**judging, self.compare_prompt: slots} if self.compare else judging


class DebateJudge(FrozenModel):
    """The model that decides a debate; it may be weaker than those who argue."""

    model: str | None = None
    """None: the model of the role."""
    adapter: str | None = None


class DebateOptions(WritesVerdicts):
    """A model argues for the reply and against it, with quotations; a judge decides."""

    type: Literal["debate"] = "debate"
    argue_prompt: str = "critic/debate.md"
    judge_prompt: str = "critic/debate_judge.md"
    judge: DebateJudge = DebateJudge()
    rounds: Annotated[int, Field(ge=1, le=4)] = 1
    """How often each side speaks; from its second turn on it has read the other side."""
    on_dispute: OnDispute = "trust_critic"

    @property
    def asked(self) -> tuple[str | None, ...]:
        return (self.model, self.judge.model)

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        argue, judge = (*EXCHANGE_SLOTS, "side", "transcript", "json"), (*EXCHANGE_SLOTS, "form", "transcript")
        return {self.argue_prompt: argue, self.judge_prompt: judge, **_FORMED}


class GuardOptions(Writes):
    """A guard model with its own answer format (Llama Guard, WildGuard, ShieldGemma, Granite Guardian)."""

    type: Literal["guard"] = "guard"
    template: tuple[str, ...] = Field(
        examples=["critic/guards/llama_guard_reply.md", "critic/guards/granite_guardian_reply.md",
                  "critic/guards/shieldgemma.md", "critic/guards/wildguard.md"]
    )  # fmt: skip
    """Prompt files with the guard's labels: one, or one per question; those in `critic/guards/` ship."""
    labels: dict[Judgement, dict[str, Rate | Refusal]] = Field(default_factory=dict)
    """Per judgement: pattern to search in the answer -> its value; replaces the labels in the prompt files."""
    trust_intent: bool = True
    """Believe the seed about the request if no prompt asks the guard about it."""
    max_tokens: Annotated[int, Field(gt=0)] = 48

    @field_validator("template", mode="before", json_schema_input_type=str | list[str])
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(self.template, EXCHANGE_SLOTS)


class StrongRejectOptions(FillsForm):
    """The StrongREJECT rubric: refused or not, how convincing, how specific. Meant as a judge, not as a critic."""

    type: Literal["strongreject"] = "strongreject"
    prompt: str = "critic/strongreject.md"
    max_tokens: Annotated[int, Field(gt=0)] = 96

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return {self.prompt: ("conversation", "reply", "mark", "json")}


class LogprobOptions(AsksModel):
    """P(yes) at the answer token of yes/no questions: one forward pass each, no text is generated."""

    type: Literal["logprob"] = "logprob"
    prompt: str = "critic/logprob.md"
    """Its front matter has the questions: one per judgement, and `principles` for those of the constitution."""
    combine: Combine | None = None
    """Also ask about every principle of the constitution and combine the answers like this; None: do not ask."""
    on_dispute: OnDispute = "trust_critic"
    dispute_margin: Rate = 0.8
    """The critic disputes the seed if it gives the opposite of the declared intent at least this probability."""
    seed_trust: Rate = 0.5
    """How often the seed's declared intent is right; at 0.5 the model alone judges the request."""

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        return {self.prompt: (*EXCHANGE_SLOTS, "question")}


class ClassifierOptions(FrozenModel):
    """A sequence classifier of the transformers library, run in this process."""

    type: Literal["classifier"] = "classifier"
    model: str
    """Its folder or hub id."""
    labels: Annotated[dict[str, Judgement], Field(min_length=1)]
    """Classifier's label -> the judgement it stands for; other labels are ignored."""
    reads: Literal["pair", "reply", "request"] = "pair"
    """Its input: request and reply as a pair of texts, or one of the two."""
    trust_intent: bool = True
    """Believe the seed about the request if no label stands for it."""
    max_tokens: Annotated[int, Field(ge=8)] = 512
    """Longer texts are truncated."""


Question = Literal["harm", "refusal", "request"]
"""harm: is the reply harmful; refusal: does it refuse, in part or in full; request: does the request ask for harm."""


class FloorOptions(FrozenModel):
    """Limits for the critic's measured quality in `critic_calibration`; training is refused below; None: no limit."""

    question: Question = "harm"
    """The question whose figures must keep the limits."""
    kappa: Annotated[float, Field(ge=-1, le=1)] | None = None
    """Least Cohen's kappa against the majority of people."""
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
    """Phrase rules that recognise refusals, without a model."""

    type: Literal["rules"] = "rules"
    trust_intent: bool = True
    """Believe the seed about the request; if false, only the refusal is judged and there is no score."""


class ProbeOptions(FrozenModel):
    """Sentence embeddings and small classifiers, fitted in seconds on labelled examples."""

    type: Literal["probe"] = "probe"
    labelled: str = "critic/labelled.yaml"
    """File of labelled requests and replies; looked up beside the recipe, then among those that superalign ships."""
    learn_from_experts: bool = True
    """Also fit on the prompts and replies of the expert demonstrations."""
    on_dispute: OnDispute = "trust_seed"
    dispute_margin: Rate = 0.8
    """The critic disputes the seed if it gives the opposite of the declared intent at least this probability."""
    seed_trust: Rate = 0.9
    """How often the seed's declared intent is right; at 0.5 the probe alone judges the request."""


class PluginOptions(FrozenModel):
    """A class of your own with `critique(messages, reply)`, which returns a dict with fields of a Verdict."""

    type: Literal["plugin"] = "plugin"
    path: str
    """A `.py` file or package folder, relative to the recipe, or an entry point of the group `superalign.critics`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of its constructor."""


class CommitteeOptions(FrozenModel):
    """Several critics vote; their disagreement is recorded."""

    type: Literal["committee"] = "committee"
    members: Annotated[tuple[CriticOptions, ...], Field(min_length=2)]
    weights: tuple[Annotated[float, Field(ge=0)], ...] = ()
    """Weight of each member's vote; empty: taken from `calibrations`, else equal."""
    calibrations: tuple[str, ...] = ()
    """Per member the file that `superalign critic calibrate` wrote; its reliability by hazard sets its weight."""

    @model_validator(mode="after")
    def _one_for_each(self) -> CommitteeOptions:
        for name, values in (("weights", self.weights), ("calibrations", self.calibrations)):
            if values and len(values) != len(self.members):
                raise ValueError(f"{len(values)} {name} for {len(self.members)} members; give one for each, or none")
        if self.weights and self.calibrations:
            raise ValueError("weights and calibrations are both given; keep one")
        if self.weights and not sum(self.weights):
            raise ValueError("all weights are 0; give one member a vote")
        return self


class SecondLookOptions(WritesVerdicts):
    """A model reads the exchange and another critic's verdict, and may overturn it."""

    type: Literal["second_look"] = "second_look"
    first: CriticOptions
    """The critic whose verdicts are reviewed."""
    prompt: str = "critic/second_look.md"
    depth: Annotated[int, Field(ge=1, le=4)] = 1
    """Most reviews of one verdict; each reads the previous one, and the first that upholds it is the last."""

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
    """A critic's options and those of every critic nested in it."""
    yield options
    members = options.members if isinstance(options, CommitteeOptions) else ()
    for part in (options.first,) if isinstance(options, SecondLookOptions) else members:
        yield from within(part)


CRITIC_TYPES = tuple(get_args(part.model_fields["type"].annotation)[0] for part in get_args(get_args(CriticOptions)[0]))
"""All types of critics."""
_CRITIC: TypeAdapter[CriticOptions] = TypeAdapter(CriticOptions)


def critic_given(name: str, base_dir: Path) -> CriticOptions:
    """Default options of the type `name`, or those in the file `name`, written as under `critic:` in a recipe.

    base_dir: folder of relative file names. Raises PromptFileError with every fault in the file.
    """
    if name in CRITIC_TYPES:
        try:
            return _CRITIC.validate_python({"type": name})
        except ValidationError as error:
            missing = ", ".join(str(fault["loc"][-1]) for fault in error.errors())
            raise PromptFileError(f"{name} needs options ({missing})", "name a YAML file of them") from None
    document, faults = load_yaml_with_lines(prompt_path(name, base_dir)), Faults()

    def line(loc: Loc) -> int:
        in_file: Loc = ()
        for part in loc:  # pydantic puts the types of critics among the parts, the file has no such level
            in_file = (*in_file, part) if (*in_file, part) in document.lines else in_file
        return document.line(in_file)

    try:
        return _CRITIC.validate_python(document.data)
    except ValidationError as error:
        faults.add_invalid(document.path, error, line)
        raise PromptFileError("\n".join(faults.lines)) from None
