"""What a recipe says about evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from superalign.records.base import FrozenModel, Kind, Rate, SuiteKind, Temperature

Count = Annotated[int, Field(ge=1)]
NumItems = Annotated[int, Field(ge=0)]


class SuiteSource(FrozenModel):
    """A file of held-out prompts that others wrote (HarmBench, XSTest, ...): JSONL, CSV, txt or YAML."""

    file: str
    """The file; a relative path starts at the recipe's folder."""
    name: str | None = None
    """The suite's name in every table; None: the file's own."""
    kind: SuiteKind | None = None
    """What its prompts are; None: as the file says, else from its `intent` and `hazard` columns, an error where it has
    none."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our name of a column -> theirs: {prompt: Behavior, id: BehaviorID, answer: label}."""
    where: dict[str, str] = Field(default_factory=dict)
    """Rows to keep, column -> value; a value that begins with `!` keeps the rows without it: {label: "!unsafe"}."""
    limit: Count | None = None
    """At most so many prompts, a fixed random sample; None: the recipe's `limit`."""
    max_chars: Count | None = None
    """Leaves out prompts of this length or longer, before the sample is drawn."""


class LmEvalOptions(FrozenModel):
    """Tasks of the lm-eval library (`pip install superalign[lm-eval]`), asked as plain text through the pool."""

    tasks: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names that lm-eval knows, or YAML files of its form, whose data files may lie beside them."""
    limit: Count | None = None
    """At most so many documents of each task, its first ones."""


class EvaluationOptions(FrozenModel):
    """Held-out suites and how the learner answers them; the judge is configured as a critic."""

    suites: tuple[str | SuiteSource, ...] = ()
    """Suite files, names of built-in suites, or sources with a filter."""
    data: str | None = None
    """Folder of public data sets (`superalign suites list`), relative to the recipe; None: $SUPERALIGN_DATA, if set."""
    plain_text: str | None = None
    """File or built-in name of passages for perplexity; None: capability is not measured."""
    lm_eval: LmEvalOptions | None = None
    """Further measures of capability; None: none."""
    max_tokens: Count = 32
    """Tokens of a reply; a refusal shows itself in the first few."""
    temperature: Temperature = 0.0
    """0: greedy, so that two evaluations differ by the model alone."""
    samples: Count = 1
    """Replies to each item, each with a seed of its own; more than one needs a temperature."""
    seed: int = 0
    """Start of the per-item seeds; matters above temperature 0 only."""
    limit: Count | None = None
    """At most so many prompts of each suite, a fixed random sample; None: all of them."""
    fresh: Mapping[Kind, NumItems] = {"harmful": 16, "lookalike": 8, "ordinary": 8}
    """Seeds of each kind (at most a fifth) that every round attacks and none trains on: the attacks on them are the
    round's fresh set, asked of candidate and incumbent. {}: none."""
    replay: Mapping[Kind, NumItems] = {"harmful": 16, "lookalike": 8, "ordinary": 8}
    """Attacks of each kind that worked in earlier rounds, a fixed random sample, asked of both. {}: none."""
    near_duplicate: Rate = 0.6
    """A held-out prompt overlaps where its 3-grams of content words are this like a training text's (Jaccard) ..."""
    containment: Rate = 0.8
    """... or where one of the two holds this share of the other's."""

    @model_validator(mode="after")
    def _samples_differ(self) -> EvaluationOptions:
        if self.samples > 1 and self.temperature == 0:
            raise ValueError("samples: greedy replies are all the same; set a temperature above 0, or samples: 1")
        return self
