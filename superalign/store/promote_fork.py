"""Ways back and sideways: promote the checkpoint of an earlier round, or fork a run after one of its rounds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from superalign.errors import RunFolderError
from superalign.store import manifest
from superalign.store.atomic import is_temporary, sync_folder, write_atomic, write_json
from superalign.store.round_folder import (
    CURRENT,
    DONE,
    HAZARDS_ADDED,
    MANIFEST,
    RECIPE,
    RESOLVED,
    RoundFolder,
    read_record,
    refuse_occupied,
    round_name,
)
from superalign.store.run_folder import RunFolder, changed_fields, plain

LABELS = "labels.jsonl"
MEASURED = ("model", "evaluation", "judge", "allow_same_judge")
"""Fields that must stay: copied evaluations must be comparable with later ones."""


def promote_round(folder: RunFolder, number: int, reason: str) -> manifest.ManualPromotion:
    """Make a round's checkpoint CURRENT, from which the next round starts; called again after a kill, it does the rest.

    Raises RunFolderError where the round has no checkpoint, stands already, or another round is under way.
    """
    path, following = folder.path, folder.next_round
    if number >= following:
        raise RunFolderError(f"{path}: round {number} is not finished", f"name one of 0 to {following - 1}")
    if any(RoundFolder(path, following).path.glob("*")):
        hint = f"`superalign resume {path}` until it is sealed, or delete {RoundFolder(path, following).path}"
        raise RunFolderError(f"{path}: round {following} is under way with the checkpoint that stood before it", hint)
    if not RoundFolder(path, number).checkpoint_json.exists():
        raise RunFolderError(
            f"{path}: round {number} has no checkpoint: {RoundFolder(path, number).failure()}", "name another round"
        )
    checkpoint, before = folder.checkpoint(number), folder.standing(following - 1)
    choices = folder.choices()
    if before is not None and before.id == checkpoint.id:
        last = choices[-1] if choices and choices[-1].after == following - 1 else None
        if last is None or last.reason != reason:
            raise RunFolderError(f"{path}: {checkpoint.id} is the promoted checkpoint already", "name another round")
        choice = last
    else:
        choice = manifest.choose(path, checkpoint, before.id if before else "nothing", reason)
    folder.promote(checkpoint)
    return choice


def fork_run(
    source: RunFolder, number: int, out: Path,
    recipe_text: str, resolved: Mapping[str, Any], inputs: manifest.RunInputs,
) -> manifest.Fork:  # fmt: skip
    """A new run folder that goes on after a round of another run, under another recipe.

    It is prepared beside `out` and renamed in one step. Raises RunFolderError if `out` exists, the round is not sealed
    or was altered since, or the recipe measures something else.
    """
    if number >= source.next_round:
        raise RunFolderError(
            f"{source.path}: round {number} is not finished", f"name one of 0 to {source.next_round - 1}"
        )
    changes = [change for change in changed_fields(source.resolved, plain(resolved)) if change.startswith(MEASURED)]
    old = read_record(source.path / MANIFEST, manifest.Manifest)
    ours, theirs = old.run.inputs.prompts, inputs.prompts
    changes += [
        f"{name}: its content changed" for name in ours if name.startswith("suites/") and theirs.get(name) != ours[name]
    ]
    if changes:
        raise RunFolderError(
            f"{source.path}: a fork must be measured as the run was, or the gate has nothing to compare:\n  "
            + "\n  ".join(changes) + "\n", "put these back, or begin a new run",
        )  # fmt: skip
    refuse_occupied(out)
    scratch = out.with_name(f".{out.name}.fork")
    shutil.rmtree(scratch, ignore_errors=True)  # of a fork that was killed
    scratch.mkdir(parents=True)
    write_atomic(scratch / RECIPE, recipe_text)
    write_json(scratch / RESOLVED, resolved)
    for index in range(number + 1):
        shutil.copytree(source.path / round_name(index), scratch / round_name(index), ignore=_not_copied)
    fork = manifest.Fork(
        name=str(source.resolved.get("name", source.path.name)), round=number, head=old.head_after(number)
    )
    _start(scratch, old, fork, inputs)
    _copy_labels(source.path, scratch, number)
    stands = source.standing(number)
    if stands is not None:
        write_json(scratch / CURRENT, stands)
    scratch.replace(out)
    sync_folder(out.parent)
    return fork


def _start(folder: Path, source: manifest.Manifest, fork: manifest.Fork, inputs: manifest.RunInputs) -> None:
    """Begin a chain over copies of another run's rounds; recipe.yaml and resolved.json lie beside them."""
    manifest.start(folder, inputs)
    chain = read_record(folder / MANIFEST, manifest.Manifest).model_copy(update={"fork": fork})
    for number, old in enumerate(source.rounds[: fork.round + 1]):
        link = manifest.link_round(number, manifest.artefacts(folder, number), chain.head)
        if link.artefacts != old.artefacts:
            raise RunFolderError(
                f"round {number} of {fork.name} is not as it was sealed",
                "`superalign verify` it; restore it from a copy",
            )
        chain = chain.model_copy(update={"rounds": (*chain.rounds, link)})
        for choice in (choice for choice in source.choices if choice.after == number):
            chain = chain.model_copy(update={"choices": (*chain.choices, manifest.relinked(choice, chain.head))})
        write_atomic(folder / round_name(number) / DONE, link.link + "\n")
    write_json(folder / MANIFEST, chain)


def _copy_labels(source: Path, scratch: Path, number: int) -> None:
    """Copy people's labels and hazards of the rounds taken over; the fork gives their later names to others."""
    for name, about, end in ((LABELS, "exchange", "/"), (HAZARDS_ADDED, "cluster", "-")):
        kept = tuple(f"r{before:03d}{end}" for before in range(number + 1))
        if (source / name).exists():
            lines = (source / name).read_bytes().splitlines(keepends=True)
            write_atomic(scratch / name, (line for line in lines if str(json.loads(line).get(about)).startswith(kept)))


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """The trainer's own folder and what is outside the chain."""
    return {name for name in names if name in ("training", "logs") or is_temporary(name)}
