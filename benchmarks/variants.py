"""What benches share: an observer on stderr, and runs of one recipe that differ in one thing, side by side."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from superalign.assembly import plan as build
from superalign.config.recipe import Recipe, load_recipe
from superalign.errors import RecipeError
from superalign.files.find import prompt_path
from superalign.files.yaml_lines import nearest
from superalign.loop.orchestrator import Loop
from superalign.protocols import Silent
from superalign.store.round_folder import DONE, RoundFolder
from superalign.store.run_folder import RunFolder


class Teller(Silent):
    """An observer that prints each phase to stderr."""

    def __init__(self, bench: str) -> None:
        self.bench = bench

    def phase(self, round: int, name: str, total: int | None, done: int = 0) -> None:
        self.notice(name if total is None else f"{name}, {total}")

    def notice(self, text: str) -> None:
        print(f"{self.bench}: {text}", file=sys.stderr, flush=True)


async def play(recipe: Recipe, base_dir: Path, path: Path, first: Path | None, shared: int, bench: str) -> None:
    """Play one arm into the folder `path`.

    base_dir: where the recipe's files lie; first: the arm that was played before, None: this is it; shared: its rounds
    from 0 on that are the same in this arm, and are copied.
    """
    resolved, inputs = build.resolve(recipe, base_dir)
    with RunFolder.create(path, json.dumps(recipe.model_dump(mode="json")), resolved, inputs) as folder:
        for number in range(shared if first else 0):
            round_folder = RoundFolder(path, number).path
            shutil.copytree(RoundFolder(first or path, number).path, round_folder)
            (round_folder / DONE).unlink()  # it is sealed anew, over this arm's recipe
        observer = Teller(f"{bench}, {path.name}")
        async with build.staged(recipe, base_dir, folder, observer) as plan:
            await Loop(plan, folder, observer).run()


def begin(recipe: str, arms: Sequence[str], all_arms: Collection[str], **changes: Any) -> tuple[Recipe, Path]:
    """The recipe, a file or a shipped one, with what is not None of `changes`; and the folder where its files lie.

    all_arms: every arm of the bench. Raises RecipeError.
    """
    if not arms or len(set(arms)) < len(arms):
        raise RecipeError(f"--set arms={list(arms)}: none, or one of them twice", f"known: {', '.join(all_arms)}")
    if strange := next((arm for arm in arms if arm not in all_arms), None):
        raise RecipeError(f"--set arms: {strange} is no arm of this bench", nearest(strange, all_arms))
    path = Path(recipe)
    if not path.exists():
        path = prompt_path("constitution.yaml").parents[1] / "recipes" / recipe
    changed, _ = load_recipe(path, [f"{name}={json.dumps(to)}" for name, to in changes.items() if to is not None])
    return changed, path.parent
