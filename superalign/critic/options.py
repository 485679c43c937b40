"""What a recipe may say about critics; a judge of evaluations is a critic, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, model_validator

from superalign.critic.checks.options import ChecksOptions
from superalign.critic.model_options import (
    EXCHANGE_SLOTS,
    AsksModel,
    ClassifierOptions,
    DebateOptions,
    GuardOptions,
    LogprobOptions,
    OnDispute,
    RubricOptions,
    StrongRejectOptions,
    WritesVerdicts,
)
from superalign.records.base import FrozenModel, Rate

__all__ = [
    "AsksModel", "ChecksOptions", "ClassifierOptions", "CommitteeOptions", "CriticOptions", "DebateOptions",
    "GuardOptions", "LogprobOptions", "OnDispute", "PluginOptions", "ProbeOptions", "RubricOptions", "RulesOptions",
    "SecondLookOptions", "StrongRejectOptions", "within",
]  # fmt: skip


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
