"""Where things lie in a run folder, and how a single record is read back.

Each step of a round has one file that is written last, so that its existence means that the step is finished:
pairs.jsonl, checkpoint.json, evaluation.json, promotion.json, DONE.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from superalign.errors import RunFolderError
from superalign.records.base import Record
from superalign.records.evaluation import Promotion
from superalign.records.training import Checkpoint
from superalign.store.atomic import is_temporary
from superalign.store.journal import rewrite_sorted

MANIFEST, RECIPE, RESOLVED, CURRENT = "manifest.json", "recipe.yaml", "resolved.json", "CURRENT"
LOCK, HOLDER = ".lock", ".holder.json"
ASKED = "asked.json"
"""The request of an `eval`, in its folder."""
ROUNDS, DONE = "rounds", "DONE"
HAZARDS_ADDED = "hazards.jsonl"
CHECKPOINT, PROMOTION = "checkpoint.json", "promotion.json"
R = TypeVar("R", bound=Record)


class RoundFolder:
    """`rounds/NNN`."""

    def __init__(self, run: Path, number: int) -> None:
        """Only names the paths; `RunFolder.round` makes the folder."""
        self.number = number
        self.path = path = run / round_name(number)
        self.exchanges = path / "exchanges.jsonl"
        self.anchors = path / "anchors.jsonl"
        """The base model's answers to what the learner needlessly refused."""
        self.dropped = path / "dropped.jsonl"
        self.attack_json = path / "attack.json"
        """Figures of the attacks."""
        self.failures_json = path / "failures.json"
        """The learner's failures in clusters, where the run has an embedder."""
        self.hazards = path / HAZARDS_ADDED
        """The hazards that people had added when these failures were clustered."""
        self.demonstrations = path / "demonstrations.jsonl"
        self.pairs = path / "pairs.jsonl"
        self.effort_json = path / "effort.json"
        """How the examples were shared between conformity and competence, where the recipe says how."""
        self.replay = path / "replay.jsonl"
        """Past examples, judged anew when the constitution changed."""
        self.values_items = path / "values_items.jsonl"
        """The candidate's replies to held-out requests by principle."""
        self.values_rejudged = path / "values_rejudged.jsonl"
        """The incumbent's, judged by the version that begins with this round."""
        self.values_json = path / "values.json"
        self.standing_items = path / "standing_items.jsonl"
        self.standing_json = path / "standing.json"
        """The incumbent's evaluation on the recipe's suites under the version that begins with this round."""
        self.training_dir = path / "training"
        """The trainer's own folder: job, optimizer state, log; outside the hash chain."""
        self.adapter = path / "adapter"
        self.training_json = path / "training.json"
        self.checkpoint_json = path / CHECKPOINT
        """The candidate; its existence means that the adapter is whole."""
        self.evaluation_items = path / "evaluation_items.jsonl"
        self.evaluation_json = path / "evaluation.json"
        self.incumbent_items = path / "incumbent_items.jsonl"
        self.incumbent_evaluation = path / "incumbent_evaluation.json"
        """The incumbent on the round's own attack sets, with which the candidate is compared."""
        self.audit_json = path / "audit.json"
        """Whether the candidate behaves as well where the critic can't see."""
        self.promotion_json = path / PROMOTION
        self.attacker_demonstrations = path / "attacker_demonstrations.jsonl"
        self.attacker_pairs = path / "attacker_pairs.jsonl"
        """Written after the demonstrations, so that both are whole; what `attacker/` was trained on."""
        self.taught = path / "taught.jsonl"
        """People's labels that the critic had learnt from when the round began."""
        self.queue = path / "queue.jsonl"
        """The answers that people were asked to label."""
        self.labels = path / "labels.jsonl"
        """People's labels of the round's answers when its examples were made."""
        self.attacker_checkpoint = path / "attacker_checkpoint.json"
        self.attacker_probe = path / "attacker_probe.jsonl"
        """The attacks on held-out goals, by candidate and incumbent, that the attacker's gate decides from."""
        self.attacker_promotion = path / "attacker_promotion.json"
        self.done = path / DONE

    @property
    def is_done(self) -> bool:
        """Whether the round is finished and in the hash chain."""
        return self.done.exists()

    def failure(self) -> str:
        """Why the round ended without a candidate, in the words of its decision; empty when it has one, or goes on."""
        if self.checkpoint_json.exists() or not self.promotion_json.exists():
            return ""
        return read_record(self.promotion_json, Promotion).reason

    def sort_journals(self) -> None:
        """Order the files whose lines came in order of completion; their journals must be closed."""
        rewrite_sorted(self.exchanges)
        rewrite_sorted(self.anchors)
        rewrite_sorted(self.dropped, lambda fields: (fields["stage"], fields["record_id"], fields["reason"]))
        rewrite_sorted(self.attacker_probe, lambda fields: (fields["side"], fields["id"]))
        for items in (self.evaluation_items, self.incumbent_items, self.standing_items):
            rewrite_sorted(items, item_key)
        for replies in (self.values_items, self.values_rejudged):
            rewrite_sorted(replies, lambda fields: fields["item"])
        rewrite_sorted(self.replay)


def item_key(fields: dict[str, Any]) -> tuple[str, ...]:
    """The order of an evaluation's items on disk."""
    return (fields["suite"], fields["item"], f"{fields['sample']:06}")


def round_name(number: int) -> str:
    """`rounds/001`."""
    return f"{ROUNDS}/{number:03d}"


def round_of(checkpoint: Checkpoint) -> int:
    """The round that made it; 0: it is the base model."""
    return 0 if checkpoint.adapter is None else int(checkpoint.id.rpartition("-")[2])


def read_record(path: Path, type: type[R]) -> R:
    """One JSON file as a record; raises RunFolderError if it is missing or holds no such record."""
    try:
        return type.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RunFolderError(
            f"{path}: not a {type.__name__}: {where}{': ' if where else ''}{first['msg']}",
            "it was altered, or written by another version of superalign; restore it from a copy",
        ) from error
    except OSError as error:
        raise RunFolderError(
            f"{path} can't be read: {error.strerror}", "restore it from a copy of the run folder"
        ) from error


def promoted_checkpoint(folder: Path, number: int) -> Checkpoint | None:
    """The candidate of a round whose promotion was decided for it; round 0 makes the base model the first one."""
    parent = folder / round_name(number)
    if not (parent / CHECKPOINT).exists():
        return None
    if number > 0 and not ((parent / PROMOTION).exists() and read_record(parent / PROMOTION, Promotion).promoted):
        return None
    return read_record(parent / CHECKPOINT, Checkpoint)


def refuse_occupied(path: Path) -> None:
    """Raise RunFolderError unless a new run folder can be made at `path`: not there, or an empty folder."""
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"{path} is a file", "name a folder with --out")
    if (path / MANIFEST).exists():
        raise RunFolderError(f"{path} already holds a run", f"`superalign resume {path}`, or name another --out")
    names = sorted(p.name for p in path.iterdir() if not is_temporary(p.name)) if path.is_dir() else []
    # what a `create` that was killed leaves behind; without a lock the recipe.yaml is somebody's own
    ours = {LOCK, HOLDER, RECIPE, RESOLVED} if LOCK in names else set()
    others = [name for name in names if name not in ours]
    if others:
        raise RunFolderError(
            f"{path} exists and is not a run folder (it holds {others[0]})", "name a new or empty folder with --out"
        )
