"""The job folder: the orchestrator's files for a training child, and the files that the child writes back.

job.json demonstrations.jsonl pairs.jsonl            the orchestrator's
sft/ dpo/                                            the trainers' state while they run
adapter/ training.json timing.json dropped.jsonl     the result
log.txt error.json                                   the libraries' output; why it failed
DONE                                                 written last, so its existence means the result is whole
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from superalign.errors import TrainingError
from superalign.records.base import Record
from superalign.records.training import Demonstration, PreferencePair
from superalign.store.atomic import write_atomic
from superalign.training.options import TrainingOptions

DONE = "DONE"
DEMONSTRATIONS, PAIRS = "demonstrations.jsonl", "pairs.jsonl"


class TrainingJob(Record):
    """Everything a training child needs besides the examples; `job.json`."""

    base: str
    """Hub id or folder of the base model."""
    parent_adapter: str | None
    """Folder of the adapter to go on from, relative to the job folder; None: start from the bare base."""
    seed: int
    options: TrainingOptions
    demonstrations_sha256: str
    pairs_sha256: str


def write_job(
    folder: Path,
    base: str,
    parent_adapter: Path | None,
    seed: int,
    options: TrainingOptions,
    demonstrations: Sequence[Demonstration],
    pairs: Sequence[PreferencePair],
) -> TrainingJob:
    """Write the orchestrator's files; job.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    job = TrainingJob(
        base=base,
        parent_adapter=os.path.relpath(parent_adapter, folder) if parent_adapter else None,
        seed=seed,
        options=options,
        demonstrations_sha256=_write_lines(folder / DEMONSTRATIONS, demonstrations),
        pairs_sha256=_write_lines(folder / PAIRS, pairs),
    )
    write_atomic(folder / "job.json", job.model_dump_json(indent=1) + "\n")
    return job


def read_job(folder: Path) -> TrainingJob:
    """The job of a folder; raises TrainingError when there is none that can be read."""
    path = folder / "job.json"
    try:
        return TrainingJob.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path}: no training job ({error})", "start training through `superalign run`") from error


def write_json(path: Path, content: object) -> None:
    """Write JSON with a stable order of keys."""
    write_atomic(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _write_lines(path: Path, records: Iterable[Record]) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for record in records:
            line = record.model_dump_json().encode() + b"\n"
            digest.update(line)
            file.write(line)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
