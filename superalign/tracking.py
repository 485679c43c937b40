"""A run's figures for TensorBoard, Weights & Biases or trackio: one step a round, through accelerate's trackers.

The three are optional packages; one is imported only if the recipe names it. Its own settings decide where it sends
the figures: `WANDB_MODE=offline` and the like are heeded, TensorBoard and trackio write to this machine.
"""

from __future__ import annotations

import importlib.util
import sys
import uuid
from contextlib import redirect_stdout
from typing import Any

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
    """What was sent already, so that a resumed run sends none of it again."""

    identity: str
    """The run's id at its trackers; every sitting has the same one, wherever the folder lies."""
    sent: dict[TrackerName, tuple[int, ...]] = Field(default_factory=dict)
    """Tracker -> rounds."""


class Tracking:
    """Sends every sealed round once, also those of earlier sittings that were not sent."""

    def __init__(self, name: TrackerName, folder: RunFolder) -> None:
        """Raises RecipeError where the package is missing."""
        require(name)
        self.name, self.folder = name, folder
        folder.logs.mkdir(exist_ok=True)
        self._path = folder.logs / _MARK
        if not self._path.exists():
            write_json(self._path, Mark(identity=uuid.uuid4().hex[:12]))
        self._mark = read_record(self._path, Mark)
        with redirect_stdout(sys.stderr):  # trackers print messages, and stdout is for data
            self._tracker = _start(name, folder, self._mark.identity)

    def catch_up(self) -> None:
        """Send the rounds that were not sent yet."""
        for summary in summarise(self.folder).rounds:
            sent = self._mark.sent.get(self.name, ())
            if summary.done and summary.round not in sent:
                with redirect_stdout(sys.stderr):
                    self._tracker.log(figures(summary), step=summary.round)
                self._mark = Mark(
                    identity=self._mark.identity, sent=self._mark.sent | {self.name: (*sent, summary.round)}
                )
                write_json(self._path, self._mark)

    def close(self) -> None:
        """Wait until everything that was sent is written."""
        with redirect_stdout(sys.stderr):
            self._tracker.finish()


def _start(name: TrackerName, folder: RunFolder, identity: str) -> Any:
    """One of accelerate's trackers; every sitting, on whichever machine, goes on with the same run."""
    from accelerate import PartialState
    from accelerate.tracking import TensorBoardTracker, TrackioTracker, WandBTracker

    PartialState(cpu=True)  # the trackers need it to log; it takes no memory of a GPU
    run, config = str(folder.resolved.get("name", folder.path.name)), dict(folder.resolved)
    tracker: Any
    if name == "tensorboard":
        tracker = TensorBoardTracker("tensorboard", folder.logs)
    elif name == "wandb":
        tracker = WandBTracker("superalign", name=run, id=identity, resume="allow", dir=str(folder.logs), config=config)
    else:
        tracker = TrackioTracker(
            "superalign", name=f"{run}-{identity}", resume="allow", config=config, auto_log_cpu=False
        )
    tracker.start()
    return tracker


def require(name: TrackerName | None) -> None:
    """Raise RecipeError unless the tracker's package can be imported."""
    if name is not None and importlib.util.find_spec(name) is None:
        raise RecipeError(
            f"track: {name} is not installed", f"`pip install {name}`, or leave `track` out of the recipe"
        )


def figures(summary: RoundSummary) -> dict[str, float]:
    """The figures of a round by name, grouped by the first word; shares are 0 to 1."""
    values: dict[str, float | None] = {
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
        values["gate/promoted"] = float(summary.promotion.promoted)
    if summary.evaluation is not None:
        values["evaluation/perplexity"] = summary.evaluation.perplexity
        for suite in summary.evaluation.suites:
            if suite.complied.n:
                values[f"evaluation/{suite.suite}/complied"] = suite.complied.rate
                values[f"evaluation/{suite.suite}/refused"] = suite.refused.rate
            if suite.matched is not None:
                values[f"evaluation/{suite.suite}/matched"] = suite.matched.rate
    return {name: float(value) for name, value in values.items() if value is not None}
