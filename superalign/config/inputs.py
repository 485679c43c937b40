"""Every file a recipe names, loaded and checked: what `--dry-run` proves and what a run starts from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from superalign.attacker.seeds.load import load_seeds
from superalign.attacker.strategies.load import load_strategies
from superalign.attacker.strategies.protocol import Strategy
from superalign.config.hazards_file import load_hazards
from superalign.config.recipe import Recipe
from superalign.critic.checks.critic import checks_of, load_functions
from superalign.critic.constitution import Constitution, load_constitution
from superalign.critic.guard import GuardPrompt
from superalign.critic.logprob import Questions
from superalign.critic.options import (
    AsksModel,
    ChecksOptions,
    CommitteeOptions,
    CriticOptions,
    GuardOptions,
    LogprobOptions,
    PluginOptions,
    ProbeOptions,
    within,
)
from superalign.critic.plugin import load_critic
from superalign.critic.probe.examples import Labelled, load_labelled
from superalign.errors import RecipeError
from superalign.evaluation.fresh_and_replay import keep_out
from superalign.evaluation.items import PlainText, Suite, SuiteItem
from superalign.evaluation.load_suites import find_suite, load_suites, locate
from superalign.evaluation.options import EvaluationOptions, SuiteSource
from superalign.evaluation.overlap import KnownText, TextIndex, check_overlap
from superalign.files.demonstrations import ExpertExample, load_experts
from superalign.files.find import prompt_path
from superalign.files.templates import PromptTemplate, load_prompt
from superalign.records.base import KINDS, OwnHazard
from superalign.records.rollout import Seed
from superalign.values.items import ValueItem, load_items


@dataclass(frozen=True)
class Inputs:
    """What a run reads besides its models."""

    seeds: tuple[Seed, ...]
    strategies: Mapping[str, Strategy]
    experts: tuple[ExpertExample, ...]
    constitution: Constitution
    """The first version."""
    labelled: Mapping[str, Labelled]
    """Labelled examples by the file name that the recipe gives."""
    suites: tuple[Suite, ...]
    plain_text: PlainText | None
    kept_out: frozenset[str] = frozenset()
    """Ids of the seeds that are attacked for the fresh sets and never trained on."""
    versions: tuple[tuple[int, Constitution], ...] = ()
    """Every version of the constitution, with the round from which it holds."""
    value_items: tuple[ValueItem, ...] = ()
    """Held-out requests by principle, where the recipe names some."""
    hazards: tuple[OwnHazard, ...] = ()
    """Those beside the taxonomy's."""
    notices: tuple[str, ...] = ()
    """What was left out of the seeds, and why that is no fault."""

    @classmethod
    def load(cls, recipe: Recipe, base_dir: Path) -> Inputs:
        """Load and cross-check; raises PromptFileError with file and line, overlaps of suites and seeds included."""
        hazards = load_hazards(recipe.hazards, base_dir)
        loaded = load_seeds(recipe.attacker.seeds, base_dir, [hazard.name for hazard in hazards])
        inputs = replace(
            cls._of_judging(recipe, base_dir),
            hazards=hazards,
            seeds=tuple(loaded.seeds),
            strategies=loaded.reserved
            | load_strategies(
                recipe.attacker.named, base_dir, loaded.templates, lambda name: recipe.place(("attacker", "mix", name))
            ),
            notices=tuple(loaded.notices),
        )
        if recipe.attacker.training is not None and not inputs.written(recipe):
            raise RecipeError(
                "attacker.training: no strategy of attacker.mix is written by a model, so there is nothing to train",
                "add one whose file says `mode: write`, such as rephrase, or leave training out",
            )
        _plugin_files(recipe, base_dir)
        _critic_prompts(recipe, base_dir)
        inputs.check_overlap(recipe)
        return replace(
            inputs, kept_out=keep_out(inputs.seeds, list(inputs._known(recipe)), recipe.evaluation.fresh, recipe.seed)
        )

    @classmethod
    def for_judging(cls, recipe: Recipe, base_dir: Path) -> Inputs:
        """Only what critic, judge and evaluation read, for what happens outside of a run: no seeds, no strategies."""
        inputs = cls._of_judging(recipe, base_dir)
        inputs.check_overlap(recipe)
        return inputs

    @classmethod
    def _of_judging(cls, recipe: Recipe, base_dir: Path) -> Inputs:
        suites, plain_text = load_suites(
            recipe.evaluation, base_dir, lambda index: recipe.place(("evaluation", "suites", index))
        )
        versions = load_versions(recipe, base_dir, critics_of(recipe))
        return cls(
            seeds=(),
            strategies={},
            experts=load_experts(prompt_path(recipe.experts, base_dir)) if recipe.experts else (),
            constitution=versions[0][1],
            labelled={name: load_labelled(prompt_path(name, base_dir)) for name in _labelled_files(recipe)},
            suites=tuple(suites),
            plain_text=plain_text,
            versions=versions,
            value_items=value_items(recipe, versions, base_dir),
        )

    def check_overlap(self, recipe: Recipe) -> None:
        """Raise PromptFileError where a held-out prompt repeats what someone learns from."""
        options, learned_from = recipe.evaluation, list(self._known(recipe))
        held = [*self.suites, *self._as_suites(recipe)]
        check_overlap(learned_from, held, near_duplicate=options.near_duplicate, containment=options.containment)

    def _known(self, recipe: Recipe) -> Iterator[KnownText]:
        yield from (KnownText(id=seed.id, file="the seeds", text=seed.goal) for seed in self.seeds)
        for expert in self.experts:
            yield KnownText(id=expert.id, file=str(recipe.experts), text=expert.prompt)
        for name, labelled in self.labelled.items():
            for index, (text, _) in enumerate(labelled.all_requests()):
                yield KnownText(id=f"request {index + 1}", file=name, text=text)

    def _as_suites(self, recipe: Recipe) -> list[Suite]:
        """The held-out requests by principle, as far as overlaps are concerned."""
        if recipe.values is None:
            return []
        items = tuple(SuiteItem(id=item.id, prompt=item.prompt, line=n) for n, item in enumerate(self.value_items, 1))
        return [Suite(name="values", kind="ordinary", file=recipe.values.items, sha256="", items=items)]

    def written(self, recipe: Recipe) -> dict[str, float]:
        """The part of the mix that the attacker's model writes."""
        weights, strategies = recipe.attacker.weights(self.strategies), self.strategies
        return {name: weight for name, weight in weights.items() if name in strategies and strategies[name].asks_model}

    def held_out(self, options: EvaluationOptions) -> Callable[[str], str | None]:
        """Tells which held-out prompt a text repeats; None: none."""
        prompts = [
            KnownText(id=item.id, file=suite.name, text=turn)
            for suite in self.suites
            for item in suite.items
            for turn in item.turns
        ]
        index = TextIndex(prompts, near_duplicate=options.near_duplicate, containment=options.containment)

        def repeated(text: str) -> str | None:
            hit = index.like(text)
            return f"{hit[0].file}/{hit[0].id}" if hit else None

        return repeated

    def facts(self) -> list[str]:
        """What was found, a line each."""
        counts = {kind: sum(seed.kind == kind for seed in self.seeds) for kind in KINDS}
        lines = [
            "seeds: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()),
            "strategies: " + ", ".join(sorted(self.strategies)),
            f"experts: {len(self.experts)} demonstrations",
            *(described(since, version) for since, version in self.versions),
        ]
        lines += [f"hazard of your own: {hazard.name}, {len(hazard.goals)} goals" for hazard in self.hazards]
        if self.kept_out:
            lines.append(f"fresh attacks: on {len(self.kept_out)} seeds that are never trained on")
        lines += [f"suite {suite.name}: {len(suite.items)} {suite.kind} prompts" for suite in self.suites]
        if self.plain_text is not None:
            lines.append(f"plain text: {len(self.plain_text.passages)} passages")
        lines += self.notices
        return [*lines, "no held-out prompt overlaps a seed, an expert example or a labelled one"]


def _labelled_files(recipe: Recipe) -> list[str]:
    return sorted({critic.labelled for critic in critics_of(recipe) if isinstance(critic, ProbeOptions)})


def critics_of(recipe: Recipe) -> list[CriticOptions]:
    """Critic and judge, and every critic inside them."""
    judges = [recipe.judge] if recipe.values is None else [recipe.judge, recipe.values.judge]
    return [options for one in (recipe.critic, *judges) for options in within(one)]


def _plugin_files(recipe: Recipe, base_dir: Path) -> dict[str, Path]:
    """The source of critics and checks that are plug-ins; raises PromptFileError for one that can't be used."""
    plugins = [
        load_critic(critic, base_dir).plugin for critic in critics_of(recipe) if isinstance(critic, PluginOptions)
    ]
    for critic in critics_of(recipe):
        plugins += load_functions(critic, base_dir).values() if isinstance(critic, ChecksOptions) else ()
    return {name: path for plugin in plugins for name, path in plugin.files.items()}


def _critic_prompts(recipe: Recipe, base_dir: Path) -> dict[str, PromptTemplate]:
    """The prompt files of critics that ask a model; raises PromptFileError for one that can't be used."""
    asking = [critic for critic in critics_of(recipe) if isinstance(critic, AsksModel)]
    loaded = {n: load_prompt(prompt_path(n, base_dir), slots) for one in asking for n, slots in one.prompts.items()}
    for critic in asking:
        if isinstance(critic, GuardOptions):
            for name in critic.template:
                GuardPrompt.of(loaded[name], critic.labels)
        elif isinstance(critic, LogprobOptions):
            Questions.of(loaded[critic.prompt])
    return loaded


def prompt_files(recipe: Recipe, base_dir: Path) -> dict[str, Path]:
    """Every prompt, seed, suite and constitution file of a recipe: its name -> where it was found."""
    own = [hazard.name for hazard in load_hazards(recipe.hazards, base_dir)]
    loaded = load_seeds(recipe.attacker.seeds, base_dir, own)
    names = [*(version.file for version in recipe.constitution), recipe.learner.revise_prompt]
    names += [name for name in (recipe.experts, recipe.critic_calibration, recipe.hazards) if name]
    names += [recipe.values.items] if recipe.values else []
    names += _labelled_files(recipe)
    names += _critic_prompts(recipe, base_dir)
    names += [name for one in critics_of(recipe) if isinstance(one, CommitteeOptions) for name in one.calibrations]
    files = loaded.files | {name: prompt_path(name, base_dir) for name in names}
    strategies = loaded.reserved | load_strategies(recipe.attacker.named, base_dir, loaded.templates)
    for strategy in strategies.values():
        files |= {f"strategies/{name}": path for name, path in strategy.files.items()}
    files |= _plugin_files(recipe, base_dir)
    for entry in recipe.evaluation.suites:
        source = SuiteSource(file=entry) if isinstance(entry, str) else entry
        files[f"suites/{source.file}"] = find_suite(source, recipe.evaluation, base_dir)[1]
    if (plain := recipe.evaluation.plain_text) is not None:
        files[f"suites/{plain}"] = locate(plain, base_dir)
    return files


def load_versions(
    recipe: Recipe, base_dir: Path, critics: Sequence[CriticOptions]
) -> tuple[tuple[int, Constitution], ...]:
    """Every version of the constitution, with the round from which it holds.

    Raises RecipeError where two files call themselves the same version, or a `checks` critic has nothing to check.
    """
    versions = tuple((v.since, load_constitution(prompt_path(v.file, base_dir))) for v in recipe.constitution)
    told: dict[str, Constitution] = {}
    for named, (_, constitution) in zip(recipe.constitution, versions, strict=True):
        if told.setdefault(constitution.version, constitution) != constitution:
            what = f"{named.file}: another file calls itself version {constitution.version}, too"
            raise RecipeError(what, "give each version a `version` of its own")
        for critic in critics:
            if isinstance(critic, ChecksOptions) and not checks_of(critic, constitution):
                what = f"a critic of type checks has nothing to check by {named.file}"
                raise RecipeError(what, "give it `checks`, or the constitution's principles a `check`")
    return versions


def value_items(recipe: Recipe, versions: Sequence[tuple[int, Constitution]], base_dir: Path) -> tuple[ValueItem, ...]:
    """The held-out requests by principle; none where the recipe names none."""
    if recipe.values is None:
        return ()
    principles = {principle.id for _, version in versions for principle in version.principles}
    return load_items(prompt_path(recipe.values.items, base_dir), principles)


def described(since: int, constitution: Constitution) -> str:
    """A line for `--dry-run`."""
    start = f", from round {since}" if since > 1 else ""
    return f"constitution: {constitution.name} {constitution.version}, {len(constitution.principles)} principles{start}"
