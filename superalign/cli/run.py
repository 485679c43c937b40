"""`run` and `resume`: a recipe becomes a run folder, and the loop plays in it until it is done or stopped."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

from superalign.api.start_resume import FREE, kept_recipe, note_origin, opened, origin, play
from superalign.cli.exit import run_until_stopped
from superalign.cli.format import command, width
from superalign.cli.progress import watcher
from superalign.cli.show import closing, print_run
from superalign.cli.text.run import comparison, overview, round_block
from superalign.config.recipe import Recipe, load_recipe
from superalign.store.run_folder import RunFolder


def dry_run(recipe_path: Path, overrides: Sequence[str], rounds: int | None, as_json: bool) -> None:
    """Check a recipe and every file it names, and say what was found."""
    recipe, _ = load_recipe(recipe_path, _with_rounds(overrides, rounds))
    from superalign import tracking
    from superalign.assembly import plan as build

    tracking.require(recipe.track)
    facts = build.check(recipe, _beside(recipe_path))
    if as_json:
        print(json.dumps({"recipe": str(recipe_path), "name": recipe.name, "rounds": recipe.rounds, "facts": facts}))
        return
    for fact in facts:
        print("\n".join(textwrap.wrap(fact, width(), subsequent_indent="  ", break_on_hyphens=False)))
    print(f"{recipe_path} is ready: {_rounds(recipe.rounds)}; nothing was started")


def run(recipe_path: Path, out: Path | None, overrides: Sequence[str], rounds: int | None, as_json: bool) -> None:
    """Play a recipe in a new run folder, or in the one that holds a run of it already."""
    recipe, text = load_recipe(recipe_path, _with_rounds(overrides, rounds))
    from superalign.assembly import plan as build

    base_dir, path = _beside(recipe_path), out or Path("runs") / recipe.name
    with opened(path, text, *build.resolve(recipe, base_dir)) as folder:
        note_origin(path, recipe_path)
        _play(recipe, base_dir, folder, as_json)


def resume(path: Path, recipe_path: Path | None, rounds: int | None, as_json: bool) -> None:
    """Go on with the recipe that the run folder keeps; `recipe_path` says where its files lie by now."""
    with RunFolder.open(path) as folder:
        recipe = kept_recipe(folder)
        recipe = recipe.model_copy(update={"rounds": rounds}) if rounds else recipe
        base_dir = _beside(recipe_path) if recipe_path else origin(path)
        from superalign.assembly import plan as build

        resolved, inputs = build.resolve(recipe, base_dir)
        folder.require_same(resolved, inputs, free=FREE)
        if recipe_path:
            note_origin(path, recipe_path)
        _play(recipe, base_dir, folder, as_json)


def _play(recipe: Recipe, base_dir: Path, folder: RunFolder, as_json: bool) -> None:
    """The loop, with a block of figures on stdout after each round, and the comparison at the end."""
    from superalign.analysis.summary import summarise

    def on_round(number: int) -> None:
        if not as_json:
            rounds = summarise(folder).rounds
            print(f"\n{round_block(next(r for r in rounds if r.round == number), width())}", flush=True)

    if folder.next_round > recipe.rounds:
        _say(f"{folder.path} holds this run already, all {_rounds(recipe.rounds)} of it; nothing is done again")
        print_run(folder, as_json)
        return
    observer = watcher(on_round)
    try:
        main = play(recipe, base_dir, folder, observer)
        run_until_stopped(main, resume=command("resume", folder.path), said=observer.notice)
    finally:
        observer.close()
    if as_json:
        print_run(folder, as_json)
        return
    print(f"\n{overview(summarise(folder).rounds)}")
    _compare(folder)
    print(f"\n{closing(folder)}")


def _compare(folder: RunFolder) -> None:
    from superalign.report.before_after import before_after

    shown = before_after(folder)
    if shown:
        print(f"\n{comparison(shown, width())}")


def _beside(recipe_path: Path) -> Path:
    return recipe_path.resolve().parent


def _with_rounds(overrides: Sequence[str], rounds: int | None) -> list[str]:
    return [*overrides, *([f"rounds={rounds}"] if rounds else [])]


def _rounds(number: int) -> str:
    return f"{number} round{'s' if number > 1 else ''}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
