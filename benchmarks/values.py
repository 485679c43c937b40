"""`python -m benchmarks values`: what a change of values does to what was learned, by strategy, on the embedded model.

The recipe's versions are switched as it says, once with each strategy, and not at all in the control. All arms share
the rounds before the first switch. Their replies are judged by the versions of the recipe's schedule, the control's,
too: there, adoption says how often the new rule is kept by chance.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.variants import begin, play
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe
from superalign.critic.checks.critic import ChecksCritic
from superalign.critic.constitution import Constitution, difference
from superalign.critic.options import ChecksOptions
from superalign.errors import RecipeError
from superalign.loop.phases.constitution_change import judged
from superalign.records.base import Record
from superalign.records.evaluation import Interval
from superalign.store.journal import read_records
from superalign.store.run_folder import RunFolder
from superalign.values.metrics import PrincipleFigures, ValueResult, figures
from superalign.values.replay import ReplayCounts, Replayed, counted

CONTROL = "control"
ARMS = ("naive", "replay", "scratch", CONTROL)


class ValuesRound(Record):
    """One round of an arm."""

    round: int
    version: str
    """By which it is judged here; the control is never taught by it."""
    kept: Interval
    adoption: Interval | None
    retention: Interval | None
    stale: Interval | None
    principles: tuple[PrincipleFigures, ...]
    replay: ReplayCounts | None
    rows: int
    """Trained on."""


class ValuesArm(Record):
    """One strategy, or the control."""

    arm: str
    rounds: tuple[ValuesRound, ...]
    seconds: float


class ValuesBench(Record):
    """All arms."""

    model: str
    seed: int
    items: int
    arms: tuple[ValuesArm, ...]
    seconds: float


async def run(
    recipe: str = "values.yaml",
    arms: Sequence[str] = ARMS,
    seed: int | None = None,
    model: str | None = None,
    pool: dict[str, Any] | None = None,
    out: str | Path | None = None,
) -> ValuesBench:
    """Measure; keeps the run folders under `out` when given.

    recipe: a file, or a shipped one; pool: as in a recipe.
    """
    whole, base_dir = begin(recipe, arms, ARMS, seed=seed, model=model, pool=pool)
    if whole.values is None:
        raise RecipeError(f"{recipe}: values are missing", "name held-out requests: `values: {items: FILE}`")
    inputs, started = Inputs.load(whole, base_dir), time.monotonic()
    shared = min((since for since, _ in inputs.versions if since > 1), default=whole.rounds + 1)
    played: list[ValuesArm] = []
    with tempfile.TemporaryDirectory(prefix="superalign-bench-") as temporary:
        first: Path | None = None
        for arm in arms:
            begun, folder = time.monotonic(), Path(out or temporary) / arm
            await play(_as_arm(whole, arm), base_dir, folder, first, shared, "values")
            first = first or folder
            rounds = [
                await _figures(RunFolder.open(folder, read_only=True), inputs, n) for n in range(whole.rounds + 1)
            ]
            played.append(ValuesArm(arm=arm, rounds=tuple(rounds), seconds=time.monotonic() - begun))
    return ValuesBench(
        model=whole.model, seed=whole.seed, items=len(inputs.value_items), arms=tuple(played),
        seconds=time.monotonic() - started,
    )  # fmt: skip


def _as_arm(recipe: Recipe, arm: str) -> Recipe:
    data = recipe.model_dump()
    if arm == CONTROL:
        return Recipe.model_validate(data | {"constitution": data["constitution"][:1]})
    return Recipe.model_validate(data | {"values": data["values"] | {"on_switch": arm}})


async def _figures(folder: RunFolder, inputs: Inputs, number: int) -> ValuesRound:
    """A round's figures, by the versions of the schedule; the incumbent's where training gave no candidate."""
    start, version = next(span for span in reversed(inputs.versions) if span[0] <= max(1, number))
    before = next((held for since, held in reversed(inputs.versions) if since < start), None)
    versions = [version] if before is None else [version, before]
    round_folder = folder.round(number)
    report = figures(
        await _judged(folder, inputs, number, versions),
        await _judged(folder, inputs, max(0, number - 1), versions),
        await _judged(folder, inputs, start - 1, versions),
        version=version.version,
        before=before.version if before else None,
        moved=difference(before, version).moved if before else (),
    )
    return ValuesRound(
        round=number, version=version.version, kept=report.kept, adoption=report.adoption,
        retention=report.retention, stale=report.stale, principles=report.principles,
        replay=counted(read_records(round_folder.replay, Replayed)) if round_folder.replay.exists() else None,
        rows=len(round_folder.demonstrations.read_bytes().splitlines()) if round_folder.demonstrations.exists() else 0,
    )  # fmt: skip


async def _judged(
    folder: RunFolder, inputs: Inputs, number: int, versions: Sequence[Constitution]
) -> list[ValueResult]:
    while not folder.round(number).values_items.exists():
        number -= 1
    judges = {v.version: (v, ChecksCritic(ChecksOptions(), v, {})) for v in versions}
    items = {item.id: item for item in inputs.value_items}
    replies = read_records(folder.round(number).values_items, ValueResult)
    return [await judged(items[result.item], result.reply, judges) for result in replies]
