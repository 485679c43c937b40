"""Where an evaluation outside of a run is kept: what was asked, every reply, what it came to."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from superalign.errors import RunFolderError
from superalign.records.base import Record
from superalign.records.evaluation import Evaluation
from superalign.store.atomic import write_json
from superalign.store.journal import rewrite_sorted
from superalign.store.lock import RunLock
from superalign.store.round_folder import ASKED, item_key, read_record


class Asked(Record):
    """Everything that the figures depend on, so that no reply counts for a question that it was not given to."""

    model: str
    model_sha256: str | None
    """Of its files; None: it is named by a hub id."""
    adapter_sha256: str | None
    """Of the adapter's weights and configuration; None: the base model as it is."""
    suites: dict[str, str]
    """Hash of each suite's items, as they came out of its file and filters."""
    plain_text: str | None
    lm_eval: dict[str, Any] | None
    """Its options, and the hash of each file that a task is read from."""
    judge_sha256: str
    """Of all that its verdicts depend on."""
    calibration_sha256: str | None
    max_tokens: int
    temperature: float
    samples: int
    seed: int
    pool: dict[str, Any]


class EvaluationFolder:
    """One model's files; held by one process at a time."""

    def __init__(self, path: Path, asked: Asked) -> None:
        """Make the folder, or go on in it; raises RunFolderError where it holds something else, naming what differs."""
        path.mkdir(parents=True, exist_ok=True)
        self.path, self.items, self.against = path, path / "items.jsonl", path / "against.jsonl"
        self._evaluation, question = path / "evaluation.json", path / ASKED
        others = [p.name for p in path.iterdir() if not p.name.startswith(".")]
        if others and not question.exists():
            hint = "name a new or empty folder with --out"
            raise RunFolderError(f"{path} holds no evaluation, but {min(others)}", hint)
        self._lock = RunLock(path)
        try:
            if not question.exists():
                write_json(question, asked)
            before = read_record(question, Asked)
            if changed := [name for name in Asked.model_fields if getattr(before, name) != getattr(asked, name)]:
                what = f"{path} holds an evaluation with another {', '.join(_told(name) for name in changed)}"
                raise RunFolderError(what, "ask as before to go on with it, or name another --out")
        except BaseException:
            self._lock.release()
            raise

    @property
    def finished(self) -> Evaluation | None:
        """What it came to, once it is all there."""
        return read_record(self._evaluation, Evaluation) if self._evaluation.exists() else None

    def finish(self, evaluation: Evaluation) -> None:
        """Write down what it came to; the items' journal must be closed."""
        rewrite_sorted(self.items, item_key)
        write_json(self._evaluation, evaluation)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()


def _told(name: str) -> str:
    return name.removesuffix("_sha256").replace("_", " ")
