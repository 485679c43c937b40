"""`python -m benchmarks effort`: what sharing the effort between conformity and competence is worth, by schedule.

The loop of one recipe is played once with each schedule of `pairing.effort`, with as many steps in each round, and once
as the examples come, the control. All arms share the base model's evaluation.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from benchmarks.variants import begin, play
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe
from superalign.errors import RecipeError
from superalign.gate.decide import pooled
from superalign.gate.paired_items import changed, complied, of_kinds, pair_items, refused
from superalign.pairing.kind_shares import EffortOptions, side_of
from superalign.records.base import Kind, Record
from superalign.records.evaluation import Evaluation, Interval, ItemResult
from superalign.records.training import Demonstration
from superalign.stats.intervals import Bounds
from superalign.store.journal import read_records
from superalign.store.round_folder import RoundFolder, read_record
from superalign.store.run_folder import RunFolder

CONTROL = "as_they_come"
BENIGN: tuple[Kind, ...] = ("lookalike", "ordinary")
ARMS: Mapping[str, Mapping[str, Any]] = {
    CONTROL: {"type": "mixed"},
    "half": {"type": "mixed", "conformity": 0.5},
    "alternating": {"type": "alternating"},
    "gap_annealing": {"type": "gap_annealing"},
}


class EffortRound(Record):
    """One round of an arm."""

    round: int
    conformity: int
    """Examples on harmful requests that were trained on."""
    competence: int
    """Examples on benign requests."""
    conformity_gap: Interval
    """Held-out harmful requests that the round's checkpoint complies with."""
    competence_gap: Interval
    """Held-out benign ones that it refuses."""
    perplexity: float | None


class EffortArm(Record):
    """One schedule."""

    arm: str
    rounds: tuple[EffortRound, ...]
    larger_gap: float
    """The larger of both gaps after the last round."""
    conformity_change: Bounds | None
    """Last round's conformity gap less the control's, with its 95 % interval over items; None: this is the control."""
    competence_change: Bounds | None
    """The same of the competence gap."""
    seconds: float


class EffortBench(Record):
    """All schedules."""

    model: str
    seed: int
    arms: tuple[EffortArm, ...]
    seconds: float


async def run(
    recipe: str = "effort.yaml",
    arms: Sequence[str] = (CONTROL, "alternating", "gap_annealing"),
    seed: int | None = None,
    rounds: int | None = None,
    model: str | None = None,
    pool: dict[str, Any] | None = None,
    out: str | Path | None = None,
) -> EffortBench:
    """Measure; keeps the run folders under `out` when given.

    recipe: a file, or a shipped one; arms: of `ARMS`, the first is the control; pool: as in a recipe.
    """
    whole, base_dir = begin(recipe, arms, ARMS, seed=seed, rounds=rounds, model=model, pool=pool)
    kinds = {suite.kind for suite in Inputs.load(whole, base_dir).suites}
    if "harmful" not in kinds or not kinds & set(BENIGN):
        raise RecipeError(
            f"{recipe}: evaluation.suites: there is nothing to tell both gaps by",
            "name a harmful suite and a benign one",
        )
    started = time.monotonic()
    played: list[EffortArm] = []
    with tempfile.TemporaryDirectory(prefix="superalign-bench-") as temporary:
        control: Path | None = None
        for arm in arms:
            begun, folder = time.monotonic(), Path(out or temporary) / arm
            await play(_as_arm(whole, arm), base_dir, folder, control, 1, "effort")
            played.append(_arm(arm, folder, control, whole.rounds, time.monotonic() - begun))
            control = control or folder
    return EffortBench(model=whole.model, seed=whole.seed, arms=tuple(played), seconds=time.monotonic() - started)


def _as_arm(recipe: Recipe, arm: str) -> Recipe:
    effort = TypeAdapter[Any](EffortOptions).validate_python(ARMS[arm])
    return recipe.model_copy(update={"pairing": recipe.pairing.model_copy(update={"effort": effort})})


def _arm(arm: str, path: Path, control: Path | None, rounds: int, seconds: float) -> EffortArm:
    folder = RunFolder.open(path, read_only=True)
    rounds_played = tuple(_round(folder.round(number)) for number in range(rounds + 1))
    change = _change(folder.round(rounds), RunFolder.open(control, read_only=True).round(rounds)) if control else None
    return EffortArm(
        arm=arm,
        rounds=rounds_played,
        larger_gap=max(rounds_played[-1].conformity_gap.rate, rounds_played[-1].competence_gap.rate),
        conformity_change=change[0] if change else None,
        competence_change=change[1] if change else None,
        seconds=seconds,
    )


def _round(round_folder: RoundFolder) -> EffortRound:
    evaluation = read_record(round_folder.evaluation_json, Evaluation)
    harm, refusals = pooled(evaluation, ("harmful",), "complied"), pooled(evaluation, BENIGN, "refused")
    assert harm is not None
    assert refusals is not None
    sides = Counter(side_of(row.kind) for row in read_records(round_folder.demonstrations, Demonstration))
    return EffortRound(
        round=round_folder.number, conformity=sides["conformity"], competence=sides["competence"],
        conformity_gap=harm, competence_gap=refusals, perplexity=evaluation.perplexity,
    )  # fmt: skip


def _change(round_folder: RoundFolder, control: RoundFolder) -> tuple[Bounds, Bounds]:
    """How both gaps differ on the same items; negative: lower than the control's."""
    old, new = (read_records(place.evaluation_items, ItemResult) for place in (control, round_folder))
    pairs = pair_items(old, new, read_record(round_folder.evaluation_json, Evaluation).suites)
    harm, refusals = changed(of_kinds(pairs, "harmful"), complied), changed(of_kinds(pairs, *BENIGN), refused)
    return harm.bounds(0.025), refusals.bounds(0.025)
