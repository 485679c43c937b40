"""`promote` and `fork`: what a person does with the rounds of a run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from superalign.api.start_resume import note_origin, origin
from superalign.cli.format import command
from superalign.config.recipe import load_recipe
from superalign.errors import RunFolderError
from superalign.store.promote_fork import fork_run, promote_round
from superalign.store.run_folder import RunFolder


def promote(path: Path, number: int, reason: str, as_json: bool) -> None:
    """Promote the checkpoint of a round over the gate's head."""
    if not reason.strip():
        raise RunFolderError(f"{path}: a promotion by hand needs a reason", "say it: --reason '...'")
    with RunFolder.open(path) as folder:
        choice = promote_round(folder, number, reason.strip())
    if as_json:
        print(json.dumps(choice.model_dump(mode="json")))
        return
    print(
        f"promoted    {choice.checkpoint.id} instead of {choice.replaced}, after round {choice.after}: {choice.reason}"
    )
    print(f"go on       {command('resume', path, '--rounds', 'N')}")


def fork(path: Path, number: int, out: Path, recipe_path: Path | None, overrides: Sequence[str], as_json: bool) -> None:
    """Copy a run up to a round into a new folder, under another recipe."""
    from superalign.assembly import plan as build

    with RunFolder.open(path, read_only=True) as source:
        base_dir = recipe_path.resolve().parent if recipe_path else origin(path)
        recipe, text = load_recipe(recipe_path or source.recipe, overrides, base_dir)
        made = fork_run(source, number, out, text, *build.resolve(recipe, base_dir))
    note_origin(out, recipe_path or base_dir / source.recipe.name)
    if as_json:
        print(json.dumps({"path": str(out), "rounds": recipe.rounds} | made.model_dump(mode="json")))
        return
    print(f"forked      {made.name} after round {made.round} into {out}")
    more = [] if recipe.rounds > number else ["--rounds", str(number + 1)]
    print(f"go on       {command('resume', out, *more)}")
