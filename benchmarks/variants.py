"""Runs of one recipe that differ in one thing, side by side: what two benches of whole loops share."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from benchmarks.attacker import Teller
from superalign.assembly import plan as build
from superalign.config.recipe import Recipe, load_recipe
from superalign.errors import RecipeError
from superalign.files.find import prompt_path
from superalign.files.yaml_lines import nearest
from superalign.loop.orchestrator import Loop
from superalign.store.round_folder import DONE, RoundFolder
from superalign.store.run_folder import RunFolder


async def play(recipe: Recipe, base_dir: Path, path: Path, first: Path | None, shared: int, bench: str) -> None:
    """One arm into the folder `path`.

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


def begin(recipe: str, arms: Sequence[str], known: Collection[str], **changes: Any) -> tuple[Recipe, Path]:
    """The recipe, a file or a shipped one, with what is not None of `changes`; and the folder where its files lie.

    known: every arm there is. Raises RecipeError.
    """
    if not arms or len(set(arms)) < len(arms):
        raise RecipeError(f"--set arms={list(arms)}: none, or one of them twice", f"known: {', '.join(known)}")
    if strange := next((arm for arm in arms if arm not in known), None):
        raise RecipeError(f"--set arms: {strange} is no arm of this bench", nearest(strange, known))
    path = Path(recipe)
    if not path.exists():
        path = prompt_path("constitution.yaml").parents[1] / "recipes" / recipe
    given, _ = load_recipe(path, [f"{name}={json.dumps(to)}" for name, to in changes.items() if to is not None])
    return given, path.parent
