"""Every file a recipe names, loaded and checked: what `--dry-run` proves and what a run starts from."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from superalign.attacker.seeds import load_seeds
from superalign.attacker.strategies import Strategy, load_strategies
from superalign.critic.constitution import Constitution, load_constitution
from superalign.critic.labelled import Labelled, load_labelled
from superalign.critic.options import CriticOptions, ProbeOptions, RubricOptions
from superalign.evaluation.overlap import KnownText, check_overlap
from superalign.evaluation.suites import PlainText, Suite, load_suites, locate
from superalign.experts import ExpertExample, load_experts
from superalign.prompts import prompt_path
from superalign.recipe import Recipe
from superalign.records import Kind, Seed, Walk
from superalign.seeding import derive_seed

KINDS: tuple[Kind, ...] = ("harmful", "lookalike", "ordinary")


@dataclass(frozen=True)
class Inputs:
    """What a run reads besides its models."""

    seeds: tuple[Seed, ...]
    strategies: Mapping[str, Strategy]
    experts: tuple[ExpertExample, ...]
    constitution: Constitution
    labelled: Mapping[str, Labelled]
    """Labelled examples by the file name that the recipe gives."""
    suites: tuple[Suite, ...]
    plain_text: PlainText | None

    @classmethod
    def load(cls, recipe: Recipe, beside: Path) -> Inputs:
        """Load and cross-check; raises PromptFileError with file and line, overlaps of suites and seeds included."""
        seeds = load_seeds(recipe.attacker.seeds, beside)
        suites, plain_text = load_suites(recipe.evaluation, beside)
        inputs = cls(
            seeds=seeds,
            strategies=load_strategies(tuple(recipe.attacker.mix), beside),
            experts=load_experts(prompt_path(recipe.experts, beside)) if recipe.experts else (),
            constitution=load_constitution(prompt_path(recipe.constitution, beside)),
            labelled={name: load_labelled(prompt_path(name, beside)) for name in _labelled_files(recipe)},
            suites=tuple(suites),
            plain_text=plain_text,
        )
        options = recipe.evaluation
        check_overlap(
            list(inputs._known(recipe)), suites, near_duplicate=options.near_duplicate, containment=options.containment
        )
        return inputs

    def _known(self, recipe: Recipe) -> Iterator[KnownText]:
        yield from (KnownText(id=seed.id, file="the seeds", text=seed.goal) for seed in self.seeds)
        for expert in self.experts:
            yield KnownText(id=expert.id, file=str(recipe.experts), text=expert.prompt)
        for name, labelled in self.labelled.items():
            for index, request in enumerate(labelled.requests):
                yield KnownText(id=f"requests.{index}", file=name, text=request.text)

    def facts(self) -> list[str]:
        """What was found, a line each."""
        counts = {kind: sum(seed.kind == kind for seed in self.seeds) for kind in KINDS}
        lines = [
            "seeds: " + ", ".join(f"{count} {kind}" for kind, count in counts.items()),
            "strategies: " + ", ".join(sorted(self.strategies)),
            f"experts: {len(self.experts)} demonstrations",
            f"constitution: {self.constitution.name} {self.constitution.version}, "
            f"{len(self.constitution.principles)} principles",
        ]
        lines += [f"suite {suite.name}: {len(suite.items)} {suite.kind} prompts" for suite in self.suites]
        if self.plain_text is not None:
            lines.append(f"plain text: {len(self.plain_text.passages)} passages")
        return [*lines, "no held-out prompt overlaps a seed, an expert example or a labelled one"]


def schedule(seeds: Sequence[Seed], per_round: Mapping[Kind, int], run_seed: int, round: int) -> list[Walk]:
    """The walks of a round: each kind goes round its seeds in a fixed random order, so that rounds take different
    seeds while they last.
    """
    walks: list[Walk] = []
    for kind in KINDS:
        own = [seed for seed in seeds if seed.kind == kind]
        random.Random(derive_seed(run_seed, "seeds", kind)).shuffle(own)
        count = per_round.get(kind, len(own))
        if own:
            start = (round - 1) * count
            for i in range(count):
                seed = own[(start + i) % len(own)]
                walks.append(Walk(round=round, seed=seed, index=i // len(own), position=len(walks)))
    return walks


def _labelled_files(recipe: Recipe) -> list[str]:
    critics: Sequence[CriticOptions] = (recipe.critic, recipe.judge)
    return sorted({critic.labelled for critic in critics if isinstance(critic, ProbeOptions)})


def prompt_files(recipe: Recipe, beside: Path) -> dict[str, Path]:
    """Every prompt, seed, suite and constitution file of a recipe: its name -> where it was found."""
    names = [file.path for file in recipe.attacker.seeds] + [recipe.constitution, recipe.learner.revise_prompt]
    names += [recipe.experts] if recipe.experts else []
    names += _labelled_files(recipe)
    names += [critic.prompt for critic in (recipe.critic, recipe.judge) if isinstance(critic, RubricOptions)]
    files = {name: prompt_path(name, beside) for name in names}
    for strategy in load_strategies(tuple(recipe.attacker.mix), beside).values():
        files[f"strategies/{strategy.name}"] = strategy.template.path
    for entry in (*recipe.evaluation.suites, recipe.evaluation.plain_text):
        if entry is not None:
            name = entry if isinstance(entry, str) else entry.file
            files[f"suites/{name}"] = locate(name, beside)
    return files
