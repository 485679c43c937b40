"""`run` and `resume`: a recipe becomes a run folder, and the loop plays in it until it is done or stopped."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from superalign.cli.options import Json, Overrides, RecipeFile, RunDir

if TYPE_CHECKING:
    from superalign.config.recipe import Recipe
    from superalign.store.run_folder import RunFolder

Rounds = Annotated[int | None, typer.Option(min=1, metavar="N", help="Rounds in all, instead of the recipe's.")]


def run(
    recipe_path: RecipeFile,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder.  [default: runs/NAME]")] = None,
    overrides: Overrides = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check recipe and files, start nothing.")] = False,
    rounds: Rounds = None,
    as_json: Json = False,
) -> None:
    """Run a recipe, or go on with its run.

    It plays in a new run folder, or in the one that holds a run of this recipe already.
    """
    from superalign.api.start_resume import note_origin, opened
    from superalign.config.recipe import load_recipe

    recipe, text = load_recipe(recipe_path, [*(overrides or ()), *([f"rounds={rounds}"] if rounds else ())])
    base_dir, path = recipe_path.resolve().parent, out or Path("runs") / recipe.name
    if dry_run:
        _check(recipe, recipe_path, as_json)
        return
    from superalign.assembly import plan as build

    with opened(path, text, *build.resolve(recipe, base_dir)) as folder:
        note_origin(path, recipe_path)
        _play(recipe, base_dir, folder, as_json)


def resume(
    path: RunDir,
    recipe_path: Annotated[
        Path | None,
        typer.Option("--recipe", metavar="PATH", help="Where the recipe, with its files beside it, lies now."),
    ] = None,
    rounds: Rounds = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped.

    What is finished is not done again. The recipe is the one that the run folder keeps.
    """
    from superalign.api.start_resume import reopened

    with reopened(path, recipe_path, rounds) as (recipe, base_dir, folder):
        _play(recipe, base_dir, folder, as_json)


def _check(recipe: Recipe, path: Path, as_json: bool) -> None:
    """Load every file that the recipe names, and print what is in them."""
    from superalign import tracking
    from superalign.assembly import plan as build
    from superalign.cli.format import width

    tracking.require(recipe.track)
    facts = build.check(recipe, path.resolve().parent)
    if as_json:
        print(json.dumps({"recipe": str(path), "name": recipe.name, "rounds": recipe.rounds, "facts": facts}))
        return
    for fact in facts:
        print(textwrap.fill(fact, width(), subsequent_indent="  ", break_on_hyphens=False))
    print(f"{path} is ready: {_rounds(recipe.rounds)}; nothing was started")


def _play(recipe: Recipe, base_dir: Path, folder: RunFolder, as_json: bool) -> None:
    """The loop, with the table of rounds on stdout after each round, and what `show` prints at the end."""
    from superalign.analysis.summary import summarise
    from superalign.api.start_resume import play
    from superalign.cli.format import command
    from superalign.cli.progress import run_until_stopped, watcher
    from superalign.cli.show import print_run
    from superalign.cli.text.run import print_rounds

    def on_round(number: int) -> None:
        if not as_json and number < recipe.rounds:
            print()
            print_rounds(summarise(folder))
            print(flush=True)

    if folder.next_round > recipe.rounds:
        done = f"{folder.path} holds this run already, all {_rounds(recipe.rounds)} of it; nothing is done again"
        print(done, file=sys.stderr, flush=True)
    else:
        observer = watcher(on_round)
        try:
            main = play(recipe, base_dir, folder, observer)
            run_until_stopped(main, resume=command("resume", folder.path), say=observer.notice)
        finally:
            observer.close()
    print_run(folder, as_json=as_json)


def _rounds(number: int) -> str:
    return f"{number} round{'s' if number > 1 else ''}"
