"""What a recipe may say about the attacker."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from superalign.files.hub_datasets import HUB
from superalign.records.base import FrozenModel, Hazard, Intent, Kind, Rate

EVOLVED = "evolve"
"""The strategy of the mix that breeds chains of the others; its attacks bear the name `evolve:CHAIN`."""


Column = Literal["goal", "id", "intent", "hazard", "parent", "tags", "template", "strategy", "turns", "language"]
"""What a row can say of a seed."""


class SeedFile(FrozenModel):
    """Seeds from a file, a folder or the hub, and what holds for those of its rows that do not say."""

    path: str
    """A file or a folder of files, relative to the recipe's folder or shipped; or `hub:OWNER/NAME[/CONFIG][:SPLIT]`."""
    columns: dict[Column, str] = Field(default_factory=dict)
    """The file's own names, {goal: Behavior, hazard: SemanticCategory}; what is not named here has its own name.
    A goal that is not named is the first of goal, prompt, behavior, instruction, text that exists."""
    where: dict[str, str] = Field(default_factory=dict)
    """Rows to keep, the file's column -> value; a value that begins with `!` keeps the rows without it."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """At most so many rows of each file, a fixed random sample; None: all."""
    intent: Intent | None = None
    """None: every row has to say."""
    hazard: Hazard | None = None
    strategy: str | None = None
    """The only strategy that these goals are put with; None: any of the mix."""
    language: str | None = None
    """BCP 47."""
    tags: tuple[str, ...] = ()
    """In addition to those of the rows."""

    @property
    def on_hub(self) -> bool:
        """Whether `path` names a data set and no file."""
        return self.path.startswith(HUB)


class AttackerTraining(FrozenModel):
    """The attacker learns from what worked: an adapter of its own, trained and gated in every round.

    How it is trained stands in the recipe's `attacker_training`.
    """

    holdout: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """Share of the goals that it is never trained on and always measured on; which ones follows from their ids."""
    min_examples: Annotated[int, Field(ge=1)] = 32
    """Fewer different attacks that worked, and it is not trained in this round."""
    per_goal: Annotated[int, Field(ge=1)] = 4
    """At most so many examples of one goal and strategy, or the goals that are easy would be all it learns."""
    max_similarity: Rate = 0.9
    """An attack nearer to one that is learned from already (cosine) is left out."""
    min_validity: Rate = 0.7
    """How much of its goal an attack must keep to have worked (the mean of the share of the goal's words and of the
    nearness of the texts), and the least share of its words that must look like words."""
    likeness: Literal["words", "embedding"] = "words"
    """How near texts are: by the words they share, or by the recipe's `embedder`, which knows paraphrases."""
    probes: Annotated[int, Field(ge=1)] = 2
    """Attacks on each held-out goal, by the candidate and by the incumbent, that the gate decides from."""
    heat: Annotated[float, Field(ge=1.0)] = 2.3
    """Trained, it samples at this many times a strategy's temperature. It keeps its goal where the untrained model
    writes nonsense, and only so hot it is about as varied; colder it wins more often and repeats itself. No request is
    hotter than 2, though."""
    min_p: Rate = 0.1
    """Trained, it never samples what is less likely than this share of the likeliest token, for so hot it would write
    gibberish (Nguyen et al. 2024, arXiv 2407.01082)."""
    min_gain: Rate | None = None
    """Success on held-out goals must rise by this much; None: by so much that its 95 % interval is above zero."""
    max_self_bleu_rise: Rate = 0.05
    """How much more alike its attacks may become: Self-BLEU against the incumbent's ..."""
    max_similarity_rise: Rate = 0.05
    """... and mean cosine of two attacks."""


class AttackerOptions(FrozenModel):
    """Where goals come from, the ways to put them, and how the attacker learns which of its ways work."""

    seeds: tuple[SeedFile, ...] = (SeedFile(path="seeds/harmful.yaml"), SeedFile(path="seeds/ordinary.yaml"))
    """Files of goals; an entry is a path, or a mapping with `path` and what holds for the whole file."""
    per_round: dict[Kind, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    """How many rollouts of each kind a round plays; rounds take different seeds while they last, then new strategies
    for the same ones. A kind that is not named plays each of its seeds once."""
    mix: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    """Strategy to weight. A name is a file `strategies/NAME.md`, beside the recipe or shipped, a chain of them
    (`how_to+base64`), a plug-in, or `evolve`, which breeds chains of the others. Empty: every rendered strategy that
    ships, with equal weight."""
    select: Literal["fixed", "thompson"] = "fixed"
    """fixed: by weight; thompson: by what broke the learner so far, for each kind and hazard."""
    explore: Rate = 0.1
    """thompson: the share of rollouts that is chosen by weight all the same."""
    generation: int = Field(default=64, ge=1)
    """How many rollouts learn from the same past; the attacker looks back over two generations."""
    max_similarity: Annotated[float, Field(gt=0, le=1)] | None = None
    """An attack whose cosine to an earlier one is over this is no news and is not played. None: only equal words are
    held back, and only where the attacker learns."""
    history: tuple[str, ...] = ()
    """Folders of earlier runs to learn from."""
    tries: int = Field(default=3, ge=1)
    """How often an attack is sought for a rollout (and a text sampled by an LLM) before the rollout is dropped."""

    training: AttackerTraining | None = None
    """Train the attacker's model, too; None: it stays as it is."""

    @property
    def learns(self) -> bool:
        """Whether later rollouts depend on what earlier ones came to."""
        return self.select != "fixed" or EVOLVED in self.mix or self.max_similarity is not None

    @property
    def named(self) -> tuple[str, ...]:
        """The strategies to load; none: all that a recipe without a mix gets."""
        return tuple(name for name in self.mix if name != EVOLVED)

    def weights(self, known: Collection[str]) -> dict[str, float]:
        """The mix, or without one every known strategy with equal weight."""
        return {name: weight for name, weight in self.mix.items() if weight} or dict.fromkeys(known, 1.0)

    @field_validator("seeds", mode="before", json_schema_input_type=list[str | SeedFile])
    @classmethod
    def _paths(cls, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [{"path": entry} if isinstance(entry, str) else entry for entry in value]
