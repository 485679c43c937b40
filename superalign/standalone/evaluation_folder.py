"""Where an evaluation outside of a run is kept: what was asked, every reply, what it came to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from superalign.errors import RunFolderError
from superalign.records.base import Record
from superalign.records.evaluation import Evaluation, ItemResult
from superalign.store.atomic import write_json
from superalign.store.journal import read_records, rewrite_sorted
from superalign.store.lock import RunLock
from superalign.store.round_folder import ASKED, item_key, read_record

EVALUATION, ITEMS = "evaluation.json", "items.jsonl"
"""In the folder of a model: its figures, and every reply to a suite's prompts."""


class EvaluationKey(Record):
    """Everything that the figures depend on, so that no reply counts for a question that it did not answer."""

    model: str
    model_sha256: str | None
    """Hash of its files; None: a hub id names it."""
    adapter_sha256: str | None
    """Hash of the adapter's weights and configuration; None: the base model as it is."""
    suites: dict[str, str]
    """Hash of each suite's items, as they came out of its file and filters."""
    plain_text: str | None
    lm_eval: dict[str, Any] | None
    """Its options, and the hash of each file that a task is read from."""
    judge_sha256: str
    """Hash of all that its verdicts depend on."""
    calibration_sha256: str | None
    max_tokens: int
    temperature: float
    samples: int
    seed: int
    pool: dict[str, Any]


class EvaluationFolder:
    """One model's files: what was asked, every reply, what it came to. Held by one process at a time."""

    def __init__(self, path: Path, asked: EvaluationKey) -> None:
        """Make the folder, or go on in it; raises RunFolderError if it holds something else, naming what differs."""
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.items, self.against = path, path / ITEMS, path / "against.jsonl"
        self._evaluation, question = path / EVALUATION, path / ASKED
        others = [p.name for p in path.iterdir() if not p.name.startswith(".")]
        if others and not question.exists():
            hint = "name a new or empty folder with --out"
            raise RunFolderError(f"{path} holds no evaluation, but {min(others)}", hint)
        self._lock = RunLock(path)
        try:
            if not question.exists():
                write_json(question, asked)
            before = read_record(question, EvaluationKey)
            changed = [name for name in EvaluationKey.model_fields if getattr(before, name) != getattr(asked, name)]
            if changed:
                names = ", ".join(name.removesuffix("_sha256").replace("_", " ") for name in changed)
                message = f"{path} holds an evaluation with another {names}"
                raise RunFolderError(message, "ask as before to go on with it, or name another --out")
        except BaseException:
            self.close()
            raise

    @property
    def finished(self) -> Evaluation | None:
        """What it came to, once it is all there."""
        return read_record(self._evaluation, Evaluation) if self._evaluation.exists() else None

    def finish(self, evaluation: Evaluation) -> None:
        """Write down what it came to; the items' journal must be closed."""
        rewrite_sorted(self.items, item_key)
        write_json(self._evaluation, evaluation)

    def close(self) -> None:
        """Let go of the folder."""
        self._lock.release()


def read_evaluation(path: Path) -> tuple[Evaluation, Iterator[ItemResult]]:
    """The figures of a finished evaluation, and the replies that they are of; raises RunFolderError."""
    return read_record(path / EVALUATION, Evaluation), read_records(path / ITEMS, ItemResult)
