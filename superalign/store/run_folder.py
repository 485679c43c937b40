"""The run folder: what a run is, on disk; everything in it can be continued after a kill at any moment.

A round ends in five steps, each atomic and each repeatable: checkpoint.json (the candidate, once its adapter is
whole), promotion.json (the decision), CURRENT, the link in manifest.json, DONE.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from superalign.errors import RunFolderError
from superalign.records.evaluation import Promotion
from superalign.records.training import Checkpoint
from superalign.store import manifest
from superalign.store.atomic import encode_json, is_temporary, sha256_adapter, write_atomic, write_json
from superalign.store.lock import RunLock
from superalign.store.round_folder import (
    ASKED,
    CURRENT,
    DONE,
    LOCK,
    MANIFEST,
    RECIPE,
    RESOLVED,
    ROUNDS,
    RoundFolder,
    promoted_checkpoint,
    read_record,
    refuse_occupied,
)

_ABSENT = object()


class RunFolder:
    """An open run folder. Made by `create` or `open`; locked until `close` unless opened read-only."""

    def __init__(self, path: Path, lock: RunLock | None) -> None:
        self.path = path
        self._lock = lock
        self.recipe = path / RECIPE
        self.events = path / "events.jsonl"
        self.report = path / "report.html"
        self.logs = path / "logs"
        """For the engine's and other programs' logs; outside the hash chain."""

    @classmethod
    def create(
        cls, path: Path, recipe_text: str, resolved: Mapping[str, Any], inputs: manifest.RunInputs | None = None
    ) -> Self:
        """Make and lock a new run folder; the manifest is written last, so its existence means that it is whole.

        Raises RunFolderError for a folder that holds a run or anything else, and for one in use.
        """
        refuse_occupied(path)
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, RunLock(path))
        try:
            refuse_occupied(path)  # another process may have been faster
            write_atomic(run.recipe, recipe_text)
            write_json(path / RESOLVED, resolved)
            manifest.start(path, inputs or manifest.RunInputs())
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Self:
        """Open an existing run; for writing, lock it and redo what a crash left half done.

        Raises RunFolderError for a folder that is no run, is in use, or has lost the candidate it promoted.
        """
        if not (path / MANIFEST).is_file():
            cut = "its creation was cut short before anything ran" if (path / LOCK).exists() else "no manifest.json"
            made = "it is the folder of an `eval`" if (path / ASKED).exists() else cut
            reason = made if path.is_dir() else "it is a file" if path.exists() else "there is no such folder"
            raise RunFolderError(f"{path} is not a run folder: {reason}", "`superalign run RECIPE --out DIR` makes one")
        read_record(path / MANIFEST, manifest.Manifest)
        run = cls(path, None if read_only else RunLock(path))
        if not read_only:
            try:
                run._recover()
            except BaseException:
                run.close()
                raise
        return run

    def close(self) -> None:
        """Release the lock; a second call does nothing."""
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def resolved(self) -> dict[str, Any]:
        """The recipe as it came out when the run began."""
        try:
            fields = json.loads((self.path / RESOLVED).read_bytes())
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.path / RESOLVED} can't be read: {error}", "restore it from a copy") from error
        return dict(fields)

    def require_same(
        self, resolved: Mapping[str, Any], inputs: manifest.RunInputs | None = None, *, free: Sequence[str] = ()
    ) -> None:
        """Raise RunFolderError, naming every change, unless the recipe (and inputs) are those the run began with.

        `free` are dotted fields, with all below them, that may change: `("rounds", "pool")`.
        """
        changes = changed_fields(self.resolved, plain(resolved), free)
        if inputs is not None:
            changes += changed_files(read_record(self.path / MANIFEST, manifest.Manifest).run.inputs, inputs)
        if changes:
            raise RunFolderError(
                f"{self.path} was begun with another recipe:\n  " + "\n  ".join(changes) + "\n",
                "put these back and resume, or start a new run with another --out",
            )

    def round(self, number: int) -> RoundFolder:
        """The folder of a round, made if need be (not when read-only)."""
        folder = RoundFolder(self.path, number)
        if self._lock is not None:
            folder.path.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def next_round(self) -> int:
        """The round to start or to continue: the first without DONE. Round 0 is the base model's evaluation."""
        number = 0
        while RoundFolder(self.path, number).is_done:
            number += 1
        return number

    def current(self) -> Checkpoint:
        """The promoted checkpoint, its adapter relative to the run folder and checked against its hash.

        Raises RunFolderError when nothing is promoted yet, or the adapter is missing or altered.
        """
        if not (self.path / CURRENT).exists():
            raise RunFolderError(f"{self.path}: no checkpoint is promoted yet", "`superalign resume` the run")
        return self._checked(read_record(self.path / CURRENT, Checkpoint))

    def incumbent(self, number: int) -> Checkpoint:
        """The checkpoint that a round starts from, checked like `current`, also after its candidate was promoted."""
        if (checkpoint := self.standing(number - 1)) is not None:
            return self._checked(checkpoint)
        raise RunFolderError(f"{self.path}: no checkpoint is promoted yet", "`superalign resume` the run")

    def standing(self, number: int) -> Checkpoint | None:
        """The checkpoint that the gate, or a person, had promoted last once a round was decided; unchecked."""
        return manifest.standing(self.path, number, self.choices())

    def choices(self) -> tuple[manifest.ManualPromotion, ...]:
        """The checkpoints that people promoted by hand."""
        return read_record(self.path / MANIFEST, manifest.Manifest).choices

    def checkpoint(self, number: int) -> Checkpoint:
        """A round's candidate, promoted or not, checked like `current`."""
        return self._checked(read_record(RoundFolder(self.path, number).checkpoint_json, Checkpoint))

    def located(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same checkpoint with the adapter's absolute path, for a pool or a trainer."""
        if checkpoint.adapter is None:
            return checkpoint
        return checkpoint.model_copy(update={"adapter": str((self.path / checkpoint.adapter).resolve())})

    def write_candidate(self, number: int, checkpoint: Checkpoint) -> Checkpoint:
        """Write checkpoint.json, once the adapter is whole; returns it with relative path and hash filled in."""
        candidate = self._relative(checkpoint)
        write_json(self.round(number).checkpoint_json, candidate)
        return candidate

    def promote(self, checkpoint: Checkpoint) -> None:
        """Make it CURRENT, atomically; its adapter must lie in the run folder."""
        write_json(self.path / CURRENT, self._relative(checkpoint))

    def finish_round(
        self, number: int, promotion: Promotion | None = None, candidate: Checkpoint | None = None
    ) -> Promotion | None:
        """The five steps at the end of a round, in their order; called again after a crash, it comes to the same bytes.

        Round 0 has the base model as candidate and no promotion; a round whose training failed has no candidate. A
        decision that is stored already wins and is returned: after a crash CURRENT may be the candidate already, and a
        second decision would compare it with itself.
        """
        round_folder = self.round(number)
        if not round_folder.promotion_json.exists():
            if candidate is not None:
                self.write_candidate(number, candidate)
            if promotion is not None:
                write_json(round_folder.promotion_json, promotion)
        promoted = promoted_checkpoint(self.path, number)
        if promoted is not None and not round_folder.is_done:  # an older round must not move CURRENT back
            self.promote(promoted)
        self.seal(number)
        return read_record(round_folder.promotion_json, Promotion) if round_folder.promotion_json.exists() else None

    def seal(self, number: int) -> manifest.Link:
        """Sort the round's journals, link its files into the hash chain, and write DONE last.

        Raises RunFolderError when the round was sealed before over other files, or the one before it is not sealed.
        """
        self.round(number).sort_journals()
        return manifest.seal(self.path, number)

    def _recover(self) -> None:
        for folder in (self.path, *(self.path / ROUNDS).glob("*")):
            for leftover in folder.glob(".*.tmp"):
                if is_temporary(leftover.name):
                    leftover.unlink()
        decided = promoted_checkpoint(self.path, self.next_round)
        if decided is None and any(choice.after == self.next_round - 1 for choice in self.choices()):
            decided = self.standing(self.next_round - 1)
        if decided:
            self.promote(decided)

    def _relative(self, checkpoint: Checkpoint) -> Checkpoint:
        if checkpoint.adapter is None:
            return checkpoint
        root = self.path.resolve()
        adapter = (root / checkpoint.adapter).resolve()
        if not adapter.is_relative_to(root):
            raise RunFolderError(f"{adapter} lies outside {self.path}", "move the adapter into its round's folder")
        return self._checked(checkpoint.model_copy(update={"adapter": adapter.relative_to(root).as_posix()}))

    def _checked(self, checkpoint: Checkpoint) -> Checkpoint:
        if checkpoint.adapter is None:
            return checkpoint
        adapter = self.path / checkpoint.adapter
        folder = adapter.parent
        hint = f"restore it from a copy; `superalign verify {self.path}` names everything that changed"
        if folder.parent.name == ROUNDS and not (folder / DONE).exists():
            hint = f"restore it from a copy, or delete {folder} and resume to do that round again"
        if not adapter.is_dir() or not any(adapter.iterdir()):
            raise RunFolderError(f"{adapter}: the adapter of {checkpoint.id} is missing", hint)
        sha256 = sha256_adapter(adapter)
        if checkpoint.sha256 not in (None, sha256):
            raise RunFolderError(f"{adapter}: the adapter of {checkpoint.id} was altered", hint)
        return checkpoint.model_copy(update={"sha256": sha256})


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they would be read back from JSON: tuples become lists."""
    return dict(json.loads(encode_json(fields)))


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any], free: Sequence[str] = ()) -> list[str]:
    """`training.dpo.beta: 0.1 -> 0.2` for each field that differs, in the order of the old recipe."""
    before, after = _flat(old), _flat(new)
    changed = [path for path in {**before, **after} if before.get(path, _ABSENT) != after.get(path, _ABSENT)]
    return [
        f"{path}: {_show(before.get(path, _ABSENT))} -> {_show(after.get(path, _ABSENT))}"
        for path in changed
        if not any(path == top or path.startswith(f"{top}.") for top in free)
    ]


def changed_files(old: manifest.RunInputs, new: manifest.RunInputs) -> list[str]:
    """The prompt files, models and chat template that changed since the run began."""
    lines = []
    for path in {**old.prompts, **new.prompts}:
        if path not in new.prompts:
            lines.append(f"{path}: no longer used")
        elif path not in old.prompts:
            lines.append(f"{path}: was not used before")
        elif old.prompts[path] != new.prompts[path]:
            lines.append(f"{path}: its content changed")
    before = {model.name: model for model in old.models}
    lines += [
        f"model {model.name}: its files changed" for model in new.models if before.get(model.name, model) != model
    ]
    if old.chat_template_sha256 != new.chat_template_sha256:
        lines.append("the chat template changed")
    return lines


def _flat(value: object, path: str = "") -> dict[str, object]:
    items: list[tuple[str, object]]
    if isinstance(value, Mapping) and (value or not path):
        items = [(str(name), below) for name, below in value.items()]
    elif isinstance(value, list) and value:
        items = [(str(index), below) for index, below in enumerate(value)]
    else:
        return {path: value}
    leaves: dict[str, object] = {}
    for name, below in items:
        leaves |= _flat(below, f"{path}.{name}" if path else name)
    return leaves


def _show(value: object) -> str:
    return "(absent)" if value is _ABSENT else encode_json(value)
