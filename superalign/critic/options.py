"""What a recipe may say about critics; a judge of evaluations is a critic, too."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from superalign.records import Rate

OnDispute = Literal["drop", "trust_seed", "trust_critic"]
"""What to do when the seed says harmful and the critic benign, or the reverse, and neither is unsure: give the
record up, take the seed's word, or take the critic's."""


class RulesOptions(BaseModel):
    """Phrase rules: a transparent judge of refusals that needs no model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["rules"] = "rules"
    trust_intent: bool = True
    """Take the seed's intent for the request's; else only the refusal is judged, and there is no score."""


class ProbeOptions(BaseModel):
    """Sentence embedding + logistic regression, fitted in seconds on the few labelled examples in `prompts/`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

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


class RubricOptions(BaseModel):
    """An LLM reads the constitution and judges; worth it from about 7B parameters on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["rubric"] = "rubric"
    prompt: str = "critic/rubric.md"
    max_tokens: Annotated[int, Field(gt=0)] = 400
    temperature: Annotated[float, Field(ge=0)] = 0.0
    on_dispute: OnDispute = "trust_critic"


CriticOptions = Annotated[RulesOptions | ProbeOptions | RubricOptions, Field(discriminator="type")]
