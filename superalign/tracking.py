"""A run's figures for TensorBoard, Weights & Biases or trackio: one step a round, whichever the recipe names.

The three are optional packages, imported here and only when one is named. Where and whether they send anything is
theirs to say: `WANDB_MODE=offline` and the like are heeded, TensorBoard and trackio write to this machine.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any, Protocol

from pydantic import Field

from superalign.analysis.summary import RoundSummary, summarise
from superalign.config.recipe import TrackerName
from superalign.errors import RecipeError
from superalign.records.base import Record
from superalign.store.atomic import write_json
from superalign.store.round_folder import read_record
from superalign.store.run_folder import RunFolder

_MARK = "tracked.json"
"""In `logs/`."""


class Mark(Record):
    """What went out already, so that a resumed run sends none of it again."""

    identity: str
    """The run's name at its trackers, whichever sitting it is and wherever the folder lies."""
    sent: dict[TrackerName, tuple[int, ...]] = Field(default_factory=dict)
    """Tracker -> rounds."""


class Tracker(Protocol):
    """Somebody who keeps figures by step."""

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """Keep them; they are safe when this returns, as far as the tracker can promise that."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class TensorBoard:
    """Event files in `logs/tensorboard` of the run folder."""

    def __init__(self, folder: RunFolder, _identity: str) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(folder.logs / "tensorboard"))

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """One event with all figures."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._writer.flush()

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


class _Sending:
    """wandb and trackio, whose runs are alike: `init` gives one, with `log` and `finish`."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, figures: Mapping[str, float], step: int) -> None:
        """One step."""
        self._run.log(dict(figures), step=step)

    def close(self) -> None:
        """Waits until everything is written."""
        self._run.finish()


def _wandb(folder: RunFolder, identity: str) -> Tracker:
    import wandb

    # the id is the run's own: every sitting, on whichever machine, goes on with the same run
    return _Sending(
        wandb.init(
            project="superalign", name=_name(folder), id=identity, resume="allow", dir=str(folder.logs),
            config=dict(folder.resolved),
        )
    )  # fmt: skip


def _trackio(folder: RunFolder, identity: str) -> Tracker:
    import trackio

    name = f"{_name(folder)}-{identity}"
    return _Sending(
        trackio.init("superalign", name=name, resume="allow", config=dict(folder.resolved), auto_log_cpu=False)
    )


_TRACKERS: dict[TrackerName, Callable[[RunFolder, str], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": _wandb,
    "trackio": _trackio,
}


class Tracking:
    """Sends every sealed round once, those of earlier sittings that were not sent included."""

    def __init__(self, name: TrackerName, folder: RunFolder) -> None:
        """Raises RecipeError where the package is missing."""
        require(name)
        self.name, self.folder = name, folder
        folder.logs.mkdir(exist_ok=True)
        self._path = folder.logs / _MARK
        known = self._path.exists()
        self._mark = read_record(self._path, Mark) if known else Mark(identity=uuid.uuid4().hex[:12])
        if not known:
            write_json(self._path, self._mark)
        with redirect_stdout(sys.stderr):  # they chatter, and stdout is for data
            self._tracker = _TRACKERS[name](folder, self._mark.identity)

    def catch_up(self) -> None:
        """Send what was not sent yet."""
        for summary in summarise(self.folder).rounds:
            sent = self._mark.sent.get(self.name, ())
            if summary.done and summary.round not in sent:
                with redirect_stdout(sys.stderr):
                    self._tracker.log(figures(summary), summary.round)
                now = self._mark.sent | {self.name: (*sent, summary.round)}
                self._mark = self._mark.model_copy(update={"sent": now})
                write_json(self._path, self._mark)

    def close(self) -> None:
        """Everything that was sent is kept."""
        with redirect_stdout(sys.stderr):
            self._tracker.close()


def require(name: TrackerName | None) -> None:
    """Raise RecipeError unless the tracker's package can be imported."""
    if name is not None and importlib.util.find_spec(name) is None:
        raise RecipeError(
            f"track: {name} is not installed", f"`pip install {name}`, or leave `track` out of the recipe"
        )


def figures(summary: RoundSummary) -> dict[str, float]:
    """The figures of a round by name, grouped by the first word; shares are 0 to 1."""
    found: dict[str, float | None] = {
        "attack/exchanges": summary.attacks,
        "attack/success": summary.attack_success,
        "attack/over_refusal": summary.over_refusal,
        "training/demonstrations": sum(summary.demonstrations.values()),
        "training/pairs": sum(summary.pairs.values()),
        "training/first_loss": summary.first_loss,
        "training/last_loss": summary.last_loss,
        "dropped": sum(summary.dropped.values()),
        "time/seconds": summary.seconds,
        "time/tokens_per_s": summary.tokens_per_s,
    }
    if summary.promotion is not None:
        found["gate/promoted"] = float(summary.promotion.promoted)
    if summary.evaluation is not None:
        found["evaluation/perplexity"] = summary.evaluation.perplexity
        for suite in summary.evaluation.suites:
            if suite.complied.n:
                found[f"evaluation/{suite.suite}/complied"] = suite.complied.rate
                found[f"evaluation/{suite.suite}/refused"] = suite.refused.rate
            if suite.matched is not None:
                found[f"evaluation/{suite.suite}/matched"] = suite.matched.rate
    return {name: float(value) for name, value in found.items() if value is not None}


def _name(folder: RunFolder) -> str:
    return str(folder.resolved.get("name", folder.path.name))
