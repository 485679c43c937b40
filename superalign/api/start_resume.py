"""How a run or an attack starts and goes on: a recipe becomes a run folder, and the loop plays in it."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import yaml
from pydantic import ValidationError

from superalign.config.recipe import Recipe
from superalign.errors import ModelError, PoolError, RecipeError, RunFolderError
from superalign.loop.round_log import ProgressNotes
from superalign.protocols import Observer
from superalign.report.page import write_report
from superalign.store.atomic import sha256_adapter, write_json
from superalign.store.journal import Events
from superalign.store.manifest import RunInputs
from superalign.store.round_folder import MANIFEST, ROUNDS
from superalign.store.run_folder import RunFolder
from superalign.tracking import Tracking

if TYPE_CHECKING:
    from superalign.assembly.plan import Parts

FREE = ("rounds", "pool", "max_walks", "track")
"""What may change between two sittings of one run: how far it goes, on which machine, and who is told."""
ORIGIN = "origin.json"
"""Where the recipe was read, for the files beside it; a path of this machine, so it is outside the hash chain."""


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


@contextmanager
def reopened(
    path: Path, recipe_path: Path | None = None, rounds: int | None = None, parts: Parts | None = None
) -> Iterator[tuple[Recipe, Path, RunFolder]]:
    """The recipe that a run folder keeps, the folder of the files it names, and the run folder, open for a block.

    recipe_path: where the recipe lies by now. rounds: instead of the recipe's. Raises RunFolderError where a file or
    a part is another than the run began with.
    """
    from superalign.assembly import plan as build

    with RunFolder.open(path) as folder:
        recipe = kept_recipe(folder)
        recipe = recipe.model_copy(update={"rounds": rounds}) if rounds else recipe
        base_dir = recipe_path.resolve().parent if recipe_path else origin(path)
        resolved, inputs = build.resolve(recipe, base_dir)
        folder.require_same(resolved | named(parts), inputs, free=FREE)
        if recipe_path:
            note_origin(path, recipe_path)
        yield recipe, base_dir, folder


def named(parts: Parts | None) -> dict[str, Any]:
    """What a run folder notes of objects of your own, for `resume` to ask for the same ones; the pool may change."""
    kinds = {name: part for name, part in vars(parts).items() if part is not None and name != "pool"} if parts else {}
    return {"parts": {name: type(part).__qualname__ for name, part in kinds.items()}} if kinds else {}


def opened_for_attack(
    recipe: Recipe, text: str, base_dir: Path, path: Path, adapter: Path | None, parts: Parts | None = None
) -> RunFolder:
    """The folder of `attack`, which also notes who is attacked; raises ModelError where `adapter` is no adapter."""
    from superalign.assembly import plan as build

    if adapter is not None and not (adapter / "adapter_config.json").is_file():
        raise ModelError(f"{adapter} is no LoRA adapter", "name the folder that holds adapter_config.json")
    resolved, inputs = build.resolve(recipe, base_dir)
    aim = {
        "model": recipe.model,
        "adapter": adapter.resolve().name if adapter else None,
        "sha256": sha256_adapter(adapter) if adapter else None,
    }
    return opened(path, text, resolved | {"attacked": aim} | named(parts), inputs)


def kept_recipe(folder: RunFolder) -> Recipe:
    """The recipe as the run began with it; it was checked then, so a fault means that it was altered since."""
    try:
        return Recipe.model_validate(yaml.safe_load(folder.recipe.read_text("utf-8")))
    except (ValidationError, yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        hint = f"`superalign verify {folder.path}` says whether it was altered; put back what was"
        raise RecipeError(f"{folder.recipe}: no longer a recipe: {first}", hint) from error


def origin(path: Path) -> Path:
    """The recipe's folder. Raises RunFolderError when the run folder does not know it."""
    try:
        recipe = Path(json.loads((path / ORIGIN).read_text("utf-8"))["recipe"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = f"say it: `superalign resume {path} --recipe PATH`"
        raise RunFolderError(f"{path / ORIGIN} does not say where the recipe was", hint) from error
    return recipe.parent


def note_origin(path: Path, recipe: Path) -> None:
    """Write down where the recipe lies, so that `origin` finds its folder."""
    write_json(path / ORIGIN, {"recipe": str(recipe.resolve())})


async def play(
    recipe: Recipe, base_dir: Path, folder: RunFolder, observer: Observer, parts: Parts | None = None
) -> None:
    """Play every round that is not sealed yet; page and tracker follow each round. Nothing starts if all are sealed."""
    from superalign.assembly import plan as build
    from superalign.loop.orchestrator import Loop

    begun = folder.next_round
    if begun > recipe.rounds:
        return
    observer = cast("Observer", ProgressNotes(observer, Events(folder.events)))
    tracking = Tracking(recipe.track, folder) if recipe.track else None
    try:
        if begun or any(folder.path.glob(f"{ROUNDS}/*/*")):
            at = f"round {begun} of {recipe.rounds}" if begun else "the measurement of the base model"
            observer.notice(f"{folder.path} holds this run already; going on with {at}")
        else:
            observer.notice(f"a new run in {folder.path}, {recipe.rounds} round{'s' if recipe.rounds > 1 else ''}")
        observer.phase(begun, "start", None)  # the engine takes its time
        started = time.monotonic()
        with _gone_if_unbegun(folder):
            async with build.staged(recipe, base_dir, folder, observer, parts) as plan:
                observer.phase_done(time.monotonic() - started, 0)
                await Loop(plan, folder, cast("Observer", _Following(observer, folder, tracking))).run()
    finally:
        if tracking is not None:
            tracking.close()


async def attack(
    recipe: Recipe,
    base_dir: Path,
    folder: RunFolder,
    adapter: Path | None,
    observer: Observer,
    parts: Parts | None = None,
) -> None:
    """Play the attacks of the recipe's first round, unless all are played; the folder is `opened_for_attack`'s."""
    from superalign.assembly import plan as build

    if not folder.round(1).attack_json.exists():
        observer = cast("Observer", ProgressNotes(observer, Events(folder.events)))
        with _gone_if_unbegun(folder):
            await build.attack(recipe, base_dir, folder, adapter, observer, parts)


class _Following:
    """An observer that also brings page and tracker up to date when a round is sealed."""

    def __init__(self, observer: Observer, folder: RunFolder, tracking: Tracking | None) -> None:
        self._observer, self._folder, self._tracking = observer, folder, tracking

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observer, name)

    def round_done(self, round: int) -> None:
        """A page that can't be written costs a notice and not the run."""
        try:
            write_report(self._folder, self._folder.report)
        except RunFolderError as error:
            self._observer.notice(f"{self._folder.report.name} was not written: {error}")
        if self._tracking is not None:
            self._tracking.catch_up()
        self._observer.round_done(round)


@contextmanager
def _gone_if_unbegun(folder: RunFolder) -> Iterator[None]:
    """A folder that holds no part of any round is removed if the block fails, so that the command can be repeated.

    An interrupted start leaves it: there is nothing to put right, and `resume` goes on.
    """
    try:
        yield
    except Exception as error:
        if not any(folder.path.glob(f"{ROUNDS}/*/*")):
            if isinstance(error, PoolError) and folder.logs.is_dir():  # its message names the engine's log
                logs = shutil.copytree(folder.logs, tempfile.mkdtemp(prefix="superalign-"), dirs_exist_ok=True)
                error.what, error.hint = (t.replace(str(folder.logs), logs) for t in (error.what, error.hint))
            folder.close()
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
