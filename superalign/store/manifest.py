"""`manifest.json`: a chain of hashes from what was asked for to the last finished round.

Each round's link hashes its artefacts together with the link before it, the first one with the hash of the run's
inputs; DONE repeats the link. So an altered, missing or added file is named, and a rewritten past shows in every link
after it. A promotion by a person and the origin of a fork are links, too. What holds clock times (events, logs,
timing.json, the report) is outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import Field

from superalign.errors import RunFolderError
from superalign.files.hashes import sha256_bytes, sha256_file
from superalign.records.base import Record
from superalign.records.training import Checkpoint
from superalign.store.atomic import canonical, is_temporary, list_files, write_atomic, write_json
from superalign.store.round_folder import (
    CURRENT,
    DONE,
    MANIFEST,
    RECIPE,
    RESOLVED,
    ROUNDS,
    promoted_checkpoint,
    read_record,
    round_name,
)

_OUTSIDE_FOLDERS = {"training", "logs"}
_OUTSIDE_NAMES = {DONE, "timing.json"}


class ModelSource(Record):
    """A base model, and how to tell it from another of the same name."""

    name: str
    revision: str | None = None
    """The hub's commit."""
    sha256: str | None = None
    """Hash of its files, for a local model."""


class RunInputs(Record):
    """What a run reads besides its recipe."""

    prompts: dict[str, str] = Field(default_factory=dict)
    """Path as the recipe gives it -> sha256, for every prompt, seed, suite and constitution file."""
    models: tuple[ModelSource, ...] = ()
    chat_template_sha256: str | None = None


class RunEntry(Record):
    """Where the chain begins."""

    recipe_sha256: str
    resolved_sha256: str
    inputs: RunInputs


class Link(Record):
    """One finished round."""

    round: int
    artefacts: dict[str, str]
    """Path relative to the run folder -> sha256."""
    previous: str
    """Link of the round before, or the hash of the run entry."""
    link: str
    """sha256 of the canonical JSON of the three fields above."""


class ManualPromotion(Record):
    """A checkpoint that a person promoted between two rounds."""

    after: int
    """The round that was sealed last."""
    checkpoint: Checkpoint
    replaced: str
    """Id of the checkpoint that stood before."""
    reason: str
    previous: str
    """The link before it: the round's, or that of an earlier choice."""
    link: str
    """sha256 of the canonical JSON of the fields above."""


class Fork(Record):
    """Where a run was forked from: its rounds up to that one are copies."""

    name: str
    """Name of the run."""
    round: int
    head: str
    """Its link after that round, with every choice made then."""


class Manifest(Record):
    """The whole of `manifest.json`."""

    version: Literal[1] = 1
    run: RunEntry
    fork: Fork | None = None
    """None: the run began with its base model."""
    rounds: tuple[Link, ...] = ()
    choices: tuple[ManualPromotion, ...] = ()
    """In the order they were made."""

    @property
    def head(self) -> str:
        """The last link; whoever notes it elsewhere can prove the whole run."""
        return self.head_after(len(self.rounds) - 1)

    def head_after(self, number: int) -> str:
        """The last link before the round after this one; -1: where the chain begins."""
        chosen = [choice.link for choice in self.choices if choice.after == number]
        if chosen or number >= 0:
            return chosen[-1] if chosen else self.rounds[number].link
        if self.fork is None:
            return sha256_bytes(canonical(self.run))
        return sha256_bytes(canonical({"run": self.run.model_dump(mode="json"), "fork": self.fork.model_dump()}))


class Finding(Record):
    """One thing `verify` found wrong."""

    path: str
    """Relative to the run folder."""
    kind: Literal["altered", "missing", "added", "broken"]
    message: str


def start(folder: Path, inputs: RunInputs) -> None:
    """Write the chain's beginning over recipe.yaml and resolved.json, which must be there."""
    entry = RunEntry(
        recipe_sha256=sha256_file(folder / RECIPE), resolved_sha256=sha256_file(folder / RESOLVED), inputs=inputs
    )
    write_json(folder / MANIFEST, Manifest(run=entry))


def choose(folder: Path, checkpoint: Checkpoint, replaced: str, reason: str) -> ManualPromotion:
    """Add a person's choice after the last sealed round; there must be one."""
    manifest = read_record(folder / MANIFEST, Manifest)
    choice = link_choice(len(manifest.rounds) - 1, checkpoint, replaced, reason, manifest.head)
    write_json(folder / MANIFEST, manifest.model_copy(update={"choices": (*manifest.choices, choice)}))
    return choice


def seal(folder: Path, number: int) -> Link:
    """Add a round's link to the manifest, then write its DONE; called again after a crash, it does only the rest.

    Raises RunFolderError when the round before is not sealed, or this one was sealed over other files.
    """
    manifest = read_record(folder / MANIFEST, Manifest)
    if number > len(manifest.rounds):
        raise RunFolderError(
            f"{folder}: round {number} can't be sealed before round {len(manifest.rounds)}",
            f"`superalign verify {folder}` says what happened",
        )
    sealed = manifest.rounds[:number]
    link = link_round(number, artefacts(folder, number), manifest.head_after(number - 1))
    if number < len(manifest.rounds):
        if manifest.rounds[number] != link:
            raise RunFolderError(
                f"{folder / round_name(number)} was sealed before, over other files",
                f"`superalign verify {folder}` names them; restore them from a copy",
            )
    else:
        write_json(folder / MANIFEST, manifest.model_copy(update={"rounds": (*sealed, link)}))
    write_atomic(folder / round_name(number) / DONE, link.link + "\n")  # last: its existence says all else is there
    return link


def artefacts(folder: Path, number: int) -> dict[str, str]:
    """Relative path -> sha256 of every file of a round that the chain covers."""
    return {name: sha256_file(folder / name) for name in _covered(folder, number)}


def verify(folder: Path) -> list[Finding]:
    """Every change to the sealed rounds; an empty list for an untouched run."""
    try:
        manifest = read_record(folder / MANIFEST, Manifest)
    except RunFolderError as error:
        kind: Literal["missing", "broken"] = "broken" if (folder / MANIFEST).exists() else "missing"
        return [Finding(path=MANIFEST, kind=kind, message=str(error))]
    findings = _compare(folder, {RECIPE: manifest.run.recipe_sha256, RESOLVED: manifest.run.resolved_sha256})
    for number, link in enumerate(manifest.rounds):
        findings += _verify_round(folder, number, link, manifest.head_after(number - 1))
    findings += _verify_choices(manifest)
    for path in sorted((folder / ROUNDS).glob(f"*/{DONE}")):
        if path.parent.name not in {f"{link.round:03d}" for link in manifest.rounds}:
            where = path.relative_to(folder).as_posix()
            findings.append(Finding(path=where, kind="broken", message=f"{where} has no link in {MANIFEST}"))
    return findings + _verify_current(folder, manifest)


def _verify_round(folder: Path, number: int, link: Link, previous: str) -> list[Finding]:
    findings = []
    if link != link_round(number, link.artefacts, previous):
        message = f"the link of round {link.round} in {MANIFEST} does not follow from its files and the link before"
        findings.append(Finding(path=MANIFEST, kind="broken", message=message))
    expected = link.artefacts | {f"{round_name(number)}/{DONE}": sha256_bytes(link.link + "\n")}
    findings += _compare(folder, expected)
    for name in _covered(folder, number):
        if name not in link.artefacts:
            findings.append(Finding(path=name, kind="added", message=f"{name} was added after the round was sealed"))
    return findings


def _verify_choices(manifest: Manifest) -> list[Finding]:
    """Choices stand after sealed rounds and follow from the links before them."""
    last: dict[int, str] = {number: link.link for number, link in enumerate(manifest.rounds)}
    findings = []
    for choice in manifest.choices:
        if choice != relinked(choice, last.get(choice.after, "")):
            message = f"the choice of {choice.checkpoint.id} after round {choice.after} in {MANIFEST} was altered"
            findings.append(Finding(path=MANIFEST, kind="broken", message=message))
        last[choice.after] = choice.link
    return findings


def _verify_current(folder: Path, manifest: Manifest) -> list[Finding]:
    """Compare CURRENT with the decisions of the rounds; the round in progress may have moved it already."""
    if not manifest.rounds:
        return []
    if not (folder / CURRENT).exists():
        return [Finding(path=CURRENT, kind="missing", message=f"{CURRENT} is missing")]
    sealed = len(manifest.rounds)
    try:
        allowed = [standing(folder, number, manifest.choices) for number in (sealed - 1, sealed)]
        if read_record(folder / CURRENT, Checkpoint) in allowed:
            return []
    except RunFolderError as error:
        return [Finding(path=CURRENT, kind="altered", message=f"{CURRENT} can't be checked: {error}")]
    message = f"{CURRENT} does not name the checkpoint that was promoted last"
    return [Finding(path=CURRENT, kind="altered", message=message)]


def _compare(folder: Path, expected: dict[str, str]) -> list[Finding]:
    findings = []
    for name, sha256 in expected.items():
        if not (folder / name).is_file():
            findings.append(Finding(path=name, kind="missing", message=f"{name} is missing"))
        elif sha256_file(folder / name) != sha256:
            findings.append(Finding(path=name, kind="altered", message=f"{name} was altered"))
    return findings


def _covered(folder: Path, number: int) -> list[str]:
    parent = PurePosixPath(round_name(number))
    return [str(parent / name) for name in list_files(folder / parent) if _is_covered(PurePosixPath(name))]


def _is_covered(name: PurePosixPath) -> bool:
    if _OUTSIDE_FOLDERS & set(name.parts[:-1]):
        return False
    return str(name) not in _OUTSIDE_NAMES and name.suffix != ".log" and not is_temporary(name.name)


def link_round(number: int, artefacts: dict[str, str], previous: str) -> Link:
    """A round's link."""
    body = {"round": number, "artefacts": artefacts, "previous": previous}
    return Link(round=number, artefacts=artefacts, previous=previous, link=sha256_bytes(canonical(body)))


def link_choice(after: int, checkpoint: Checkpoint, replaced: str, reason: str, previous: str) -> ManualPromotion:
    """A choice with its link."""
    choice = ManualPromotion(
        after=after, checkpoint=checkpoint, replaced=replaced, reason=reason, previous=previous, link=""
    )
    return choice.model_copy(update={"link": sha256_bytes(canonical(choice.model_dump(mode="json", exclude={"link"})))})


def relinked(choice: ManualPromotion, previous: str) -> ManualPromotion:
    """The same choice after another link."""
    return link_choice(choice.after, choice.checkpoint, choice.replaced, choice.reason, previous)


def standing(folder: Path, number: int, choices: Sequence[ManualPromotion]) -> Checkpoint | None:
    """The checkpoint that stands once everything up to a round is decided, by the gate or by people; None: nothing."""
    for before in reversed(range(number + 1)):
        chosen = [choice.checkpoint for choice in choices if choice.after == before]
        checkpoint = chosen[-1] if chosen else promoted_checkpoint(folder, before)
        if checkpoint is not None:
            return checkpoint
    return None
