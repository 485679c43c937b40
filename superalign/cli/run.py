"""`run` and `resume`: a recipe becomes a run folder, and the loop plays in it until it is done or stopped."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from superalign.cli.exit import run_until_stopped
from superalign.cli.format import command, width
from superalign.cli.progress import watcher
from superalign.cli.report import refresh
from superalign.cli.show import closing, print_run
from superalign.cli.text.run import comparison, overview, round_block
from superalign.config.recipe import Recipe, load_recipe
from superalign.errors import RecipeError, RunFolderError
from superalign.store.atomic import write_json
from superalign.store.manifest import RunInputs
from superalign.store.round_folder import MANIFEST
from superalign.store.run_folder import RunFolder

FREE = ("rounds", "pool", "max_rollouts", "track")
"""What may change between two sittings of one run: how far it goes, on which machine, and who is told."""
ORIGIN = "origin.json"
"""Where the recipe was read, for the files beside it; a path of this machine, so it is outside the hash chain."""


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
        write_json(path / ORIGIN, {"recipe": str(recipe_path.resolve())})
        _play(recipe, base_dir, folder, as_json)


def opened(path: Path, text: str, resolved: Mapping[str, Any], inputs: RunInputs) -> RunFolder:
    """A new run folder, or the one that holds this very run already; raises RunFolderError for another one's."""
    if not (path / MANIFEST).is_file():
        return RunFolder.create(path, text, resolved, inputs)
    folder = RunFolder.open(path)
    try:
        folder.require_same(resolved, inputs, free=FREE)
    except BaseException:
        folder.close()
        raise
    return folder


def resume(path: Path, recipe_path: Path | None, rounds: int | None, as_json: bool) -> None:
    """Go on with the recipe that the run folder keeps; `recipe_path` says where its files lie by now."""
    with RunFolder.open(path) as folder:
        recipe = _kept_recipe(folder)
        recipe = recipe.model_copy(update={"rounds": rounds}) if rounds else recipe
        base_dir = _beside(recipe_path) if recipe_path else origin(path)
        from superalign.assembly import plan as build

        resolved, inputs = build.resolve(recipe, base_dir)
        folder.require_same(resolved, inputs, free=FREE)
        if recipe_path:
            write_json(path / ORIGIN, {"recipe": str(recipe_path.resolve())})
        _play(recipe, base_dir, folder, as_json)


def _play(recipe: Recipe, base_dir: Path, folder: RunFolder, as_json: bool) -> None:
    """The loop, with a block of figures on stdout after each round, and the comparison at the end."""
    from superalign.analysis.summary import summarise
    from superalign.assembly import plan as build
    from superalign.loop.orchestrator import Loop
    from superalign.tracking import Tracking

    def on_round(number: int) -> None:
        refresh(folder, observer.notice)
        if tracking is not None:
            tracking.catch_up()
        if not as_json:
            rounds = summarise(folder).rounds
            print(f"\n{round_block(next(r for r in rounds if r.round == number), width())}", flush=True)

    begun = folder.next_round
    if begun > recipe.rounds:
        _say(f"{folder.path} holds this run already, all {_rounds(recipe.rounds)} of it; nothing is done again")
        print_run(folder, as_json)
        return
    tracking = Tracking(recipe.track, folder) if recipe.track else None
    observer = watcher(on_round)
    if begun or any(folder.path.glob("rounds/*/*")):
        at = f"round {begun} of {recipe.rounds}" if begun else "the measurement of the base model"
        observer.notice(f"{folder.path} holds this run already; going on with {at}")
    else:
        observer.notice(f"a new run in {folder.path}, {_rounds(recipe.rounds)}")

    async def main() -> None:
        observer.phase(begun, "start", None)  # the engine takes its time
        started = time.monotonic()
        async with build.staged(recipe, base_dir, folder, observer) as plan:
            observer.phase_done(time.monotonic() - started, 0)
            await Loop(plan, folder, observer).run()

    try:
        run_until_stopped(main(), resume=command("resume", folder.path), said=observer.notice)
    finally:
        observer.close()
        if tracking is not None:
            tracking.close()
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


def _kept_recipe(folder: RunFolder) -> Recipe:
    """The recipe as the run began with it; it was checked then, so a fault means that it was altered since."""
    try:
        return Recipe.model_validate(yaml.safe_load(folder.recipe.read_text("utf-8")))
    except (ValidationError, yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        hint = f"`{command('verify', folder.path)}` says whether it was altered; put back what was"
        raise RecipeError(f"{folder.recipe}: no longer a recipe: {first}", hint) from error


def origin(path: Path) -> Path:
    """The recipe's folder. Raises RunFolderError when the run folder does not know it."""
    try:
        recipe = Path(json.loads((path / ORIGIN).read_text("utf-8"))["recipe"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = f"`{command('resume', path, '--recipe', 'PATH')}`"
        raise RunFolderError(f"{path / ORIGIN} does not say where the recipe was", f"say it: {hint}") from error
    return recipe.parent


def _beside(recipe_path: Path) -> Path:
    return recipe_path.resolve().parent


def _with_rounds(overrides: Sequence[str], rounds: int | None) -> list[str]:
    return [*overrides, *([f"rounds={rounds}"] if rounds else [])]


def _rounds(number: int) -> str:
    return f"{number} round{'s' if number > 1 else ''}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
