"""`promote` and `fork`: what a person does with the rounds of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json, Overrides, RunDir
from superalign.errors import RunFolderError


def promote(
    path: RunDir,
    number: Annotated[int, typer.Option("--round", min=0, metavar="N", help="Its checkpoint; 0: the base model.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the hash chain.")],
    as_json: Json = False,
) -> None:
    """Promote any round's checkpoint by hand: the way back.

    Whatever the gate said. The next round starts from it, and export and show follow. No round may be under way.
    """
    from superalign.cli.format import command
    from superalign.store.promote_fork import promote_round
    from superalign.store.run_folder import RunFolder

    if not reason.strip():
        raise RunFolderError(f"{path}: a promotion by hand needs a reason", "say it: --reason '...'")
    with RunFolder.open(path) as folder:
        choice = promote_round(folder, number, reason.strip())
    if as_json:
        print(json.dumps(choice.model_dump(mode="json")))
        return
    instead = f"{choice.checkpoint.id} instead of {choice.replaced}, after round {choice.after}"
    print(f"promoted    {instead}: {choice.reason}")
    print(f"go on       {command('resume', path, '--rounds', 'N')}")


def fork(
    path: RunDir,
    number: Annotated[int, typer.Option("--from", min=0, metavar="N", help="The last round to take over.")],
    out: Annotated[Path, typer.Option(metavar="DIR2", help="A new run folder.")],
    recipe_path: Annotated[
        Path | None, typer.Option("--recipe", metavar="RECIPE", help="Another recipe.  [default: the run's own]")
    ] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Go on after any round, in another folder or recipe.

    Model, suites and judge stay, so that the gate can compare; `superalign resume DIR2` plays the next rounds.
    """
    from superalign.api.start_resume import note_origin, origin
    from superalign.assembly import plan as build
    from superalign.cli.format import command
    from superalign.config.recipe import load_recipe
    from superalign.store.promote_fork import fork_run
    from superalign.store.run_folder import RunFolder

    with RunFolder.open(path, read_only=True) as source:
        base_dir = recipe_path.resolve().parent if recipe_path else origin(path)
        recipe, text = load_recipe(recipe_path or source.recipe, overrides or (), base_dir)
        made = fork_run(source, number, out, text, *build.resolve(recipe, base_dir))
    note_origin(out, recipe_path or base_dir / source.recipe.name)
    if as_json:
        print(json.dumps({"path": str(out), "rounds": recipe.rounds} | made.model_dump(mode="json")))
        return
    print(f"forked      {made.name} after round {made.round} into {out}")
    more = [] if recipe.rounds > number else ["--rounds", str(number + 1)]
    print(f"go on       {command('resume', out, *more)}")
