"""YAML -> Recipe: everything a run depends on, checked before anything heavy starts.

All faults are reported at once, each as `file:line: field: what; cure`. The options of a room live in that room.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from superalign.attacker.options import AttackerOptions
from superalign.config.faults import dotted, faults_of
from superalign.config.overrides import apply_override
from superalign.critic.constitution import Version
from superalign.critic.options import CriticOptions, FillsForm, FloorOptions, within
from superalign.errors import PromptFileError, RecipeError
from superalign.evaluation.options import EvaluationOptions
from superalign.files.find import prompt_path
from superalign.files.yaml_lines import Loc, Located, load_yaml_with_lines
from superalign.gate.decide import GateOptions
from superalign.learner import LearnerOptions
from superalign.pairing.training_examples import PairingOptions
from superalign.pool.options import AutoOptions, PoolOptions, TransformersOptions, VllmOptions
from superalign.records.base import FrozenModel
from superalign.review.options import ReviewOptions
from superalign.training.options import TrainingOptions
from superalign.values.items import ValuesOptions

TrackerName = Literal["tensorboard", "wandb", "trackio"]


class RoleModel(FrozenModel):
    """A model of its own for a role."""

    model: str | None = None
    """Its base: a known name, a folder or a hub id; None: the learner's base, in the same engine."""
    adapter: str | None = None
    """Folder of a LoRA adapter on that base."""


class Roles(FrozenModel):
    """Which model plays which role besides the learner; by default the learner's base, without its adapter."""

    attacker: RoleModel = RoleModel()
    critic: RoleModel = RoleModel()
    judge: RoleModel = RoleModel()


@dataclass(frozen=True)
class _Origin:
    """The file that a recipe was read from; two recipes are equal wherever they stand."""

    document: Located | None = field(default=None, compare=False)


class Recipe(FrozenModel):
    """A run, as a person writes it."""

    name: str
    """Also the run folder's name, unless `--out` gives another."""
    seed: int = 0
    """Every random choice of the run derives from it."""
    rounds: Annotated[int, Field(ge=1)] = 3
    """Rounds of attack, critique, training and gate."""
    model: str
    """The learner's base: a known name (`superalign models list`), a local folder or a hub id."""
    pool: PoolOptions = AutoOptions()
    """The engine; a role with a model of its own gets another engine of the same options."""
    roles: Roles = Roles()
    embedder: str = "minilm"
    """Sentence embedder of the probe critic: a known name, a folder or a hub id."""
    experts: str | None = None
    """A few dozen hand-written demonstrations."""
    constitution: Annotated[tuple[Version, ...], Field(min_length=1)] = (Version(file="constitution.yaml"),)
    """The principles the critic judges by: a file, or a list whose later versions hold from a round on, such as
    `[v1.yaml, {file: v2.yaml, since: 3}]`."""
    values: ValuesOptions | None = None
    """How far each version's principles are kept is measured, and what a new version does to what was learned; None:
    it is not, and there is one version."""
    hazards: str | None = None
    """Hazards of your own, as `hazards.jsonl` of a run folder holds them; rows of seeds may name them."""
    attacker: AttackerOptions = AttackerOptions()
    learner: LearnerOptions = LearnerOptions()
    critic: CriticOptions
    """Who judges what is trained on."""
    critic_calibration: str | None = None
    """What `superalign critic calibrate` wrote of this critic: its harm is calibrated, and it abstains as promised."""
    floor: FloorOptions | None = None
    """How good the critic must have been measured to be; below it nothing is trained. None: any critic will do."""
    judge: CriticOptions
    """Who judges held-out replies; not the critic, so that training on the critic's taste does not pay."""
    allow_same_judge: bool = False
    """Let the critic judge its own effect; figures are then no evidence."""
    review: ReviewOptions = ReviewOptions()
    """What people say: whether it counts, and how much of it is asked for."""
    pairing: PairingOptions = PairingOptions()
    training: tuple[TrainingOptions, ...] = (TrainingOptions(),)
    """One for all rounds, or a list: the first round takes the first, later ones the next, the last one repeats."""
    attacker_training: TrainingOptions = TrainingOptions(method="sft_then_dpo")
    """How the attacker's adapter is made, where `attacker.training` asks for one."""
    evaluation: EvaluationOptions
    gate: GateOptions = GateOptions()
    max_walks: Annotated[int, Field(ge=1)] = 256
    """How many exchanges are under way at once."""
    _origin: _Origin = _Origin()
    track: TrackerName | None = None
    """Who else gets each round's figures, as a package of that name that is installed; None: nobody."""

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, value: str) -> str:
        if not value.strip() or value in (".", "..") or set(value) & set("/\\\0"):
            raise ValueError("must be a folder's name, without slashes")
        return value

    @field_validator("training", mode="before", json_schema_input_type=TrainingOptions | list[TrainingOptions])
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return value if isinstance(value, list | tuple) else (value,)

    @field_validator("constitution", mode="before", json_schema_input_type=str | list[str | Version])
    @classmethod
    def _files_or_versions(cls, value: Any) -> Any:
        versions = value if isinstance(value, list | tuple) else [value]
        return [{"file": version} if isinstance(version, str) else version for version in versions]

    @model_validator(mode="after")
    def _versions_in_order(self) -> Recipe:
        since = [version.since for version in self.constitution]
        if since[0] != 1 or since != sorted(set(since)):
            raise ValueError(f"constitution: its versions hold since {since}; begin with 1, and go on in order")
        if len(since) > 1 and self.values is None:
            raise ValueError("constitution changes between rounds; name held-out items for it under `values`")
        if len(since) > 1 and self.critic_calibration is not None:
            raise ValueError("critic_calibration is of one version of the constitution; leave it out, or the versions")
        return self

    @model_validator(mode="after")
    def _judge_is_another(self) -> Recipe:
        if self.judge == self.critic and not self.allow_same_judge:
            raise ValueError("judge is the critic itself; name another judge, or set allow_same_judge: true")
        return self

    @model_validator(mode="after")
    def _engine_takes_the_adapters(self) -> Recipe:
        trained = (*self.training, *([self.attacker_training] if self.attacker.training else ()))
        rank = max(training.lora.rank for training in trained)
        if isinstance(self.pool, VllmOptions) and rank > self.pool.max_lora_rank:
            raise ValueError(
                f"training.lora.rank {rank} is over pool.max_lora_rank {self.pool.max_lora_rank}; raise that"
            )
        return self

    @model_validator(mode="after")
    def _engine_holds_to_forms(self) -> Recipe:
        for name, options in (("critic", self.critic), ("judge", self.judge)):
            json = any(isinstance(part, FillsForm) and part.format == "json" for part in within(options))
            if json and isinstance(self.pool, TransformersOptions):
                raise ValueError(f"{name}: format: json needs vLLM; set auto or tagged, or another pool")
        return self

    def place(self, loc: Loc) -> str:
        """`file:line: ` of a field in the recipe's file; empty where there is no file."""
        document = self._origin.document
        return f"{document.path}:{document.line(loc)}: " if document else ""

    def training_of(self, round: int) -> TrainingOptions:
        """The training options of a round, counted from 1."""
        return self.training[min(round, len(self.training)) - 1]


def load_recipe(path: Path, overrides: Sequence[str] = (), base_dir: Path | None = None) -> tuple[Recipe, str]:
    """The recipe of a file with `--set` overrides applied, and its text as it then stands.

    base_dir: the folder of the files it names; None: its own. Raises RecipeError with every fault, a line each.
    """
    document = load_yaml_with_lines(path)
    if not isinstance(document.data, dict):
        raise RecipeError(f"{path}:1: a recipe is a mapping", "start from `superalign init DIR`")
    data = copy.deepcopy(document.data)
    from_command_line = {apply_override(data, override): override for override in overrides}
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        lines = sorted(set(faults_of(Recipe, error, document, data, from_command_line)))
        raise RecipeError("\n".join(text for _, text in lines)) from None
    recipe._origin = _Origin(document)
    _check_files(recipe, document, base_dir or path.parent)
    return recipe, yaml.safe_dump(data, sort_keys=False, allow_unicode=True) if overrides else path.read_text("utf-8")


def files_of(recipe: Recipe) -> Iterator[tuple[Loc, str]]:
    """Every file a recipe names, with the place where it does."""
    for index, file in enumerate(recipe.attacker.seeds):
        if not file.on_hub:
            yield ("attacker", "seeds", index), file.path
    if recipe.experts:
        yield ("experts",), recipe.experts
    if recipe.critic_calibration:
        yield ("critic_calibration",), recipe.critic_calibration
    if recipe.hazards:
        yield ("hazards",), recipe.hazards
    yield from ((("constitution", n), version.file) for n, version in enumerate(recipe.constitution))
    if recipe.values is not None:
        yield ("values", "items"), recipe.values.items


def _check_files(recipe: Recipe, document: Located, base_dir: Path) -> None:
    faults = []
    for loc, name in files_of(recipe):
        try:
            prompt_path(name, base_dir)
        except PromptFileError as error:
            faults.append(f"{document.path}:{document.line(loc)}: {dotted(loc)}: {error}")
    if faults:
        raise RecipeError("\n".join(faults))
