"""A run folder as objects: rounds and their records, read and never written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from superalign.analysis.summary import RoundSummary, RunSummary, summarise
from superalign.api.start_resume import kept_recipe
from superalign.config.recipe import Recipe
from superalign.errors import RunFolderError
from superalign.records.evaluation import Evaluation, ItemResult, Promotion
from superalign.records.exchange import Dropped, Exchange
from superalign.records.rollout import Messages
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.store.journal import read_records
from superalign.store.manifest import Finding, verify
from superalign.store.round_folder import CURRENT, ROUNDS, read_record
from superalign.store.run_folder import RunFolder

RowKind = Literal["pairs", "demonstrations"]


class Round:
    """One round of a run; 0 is the measurement of the base model. Reads anew at each call, also while the run goes on.

    The iterators hold one record at a time. Damaged files raise RunFolderError with file and line.
    """

    def __init__(self, folder: RunFolder, number: int) -> None:
        """`Run.rounds` makes these."""
        self.number = number
        self._run, self._folder = folder, folder.round(number)

    def __repr__(self) -> str:
        return f"Round({self.number}, {'sealed' if self.done else 'not finished'})"

    @property
    def done(self) -> bool:
        """Whether the round is finished and in the hash chain."""
        return self._folder.is_done

    def exchanges(self) -> Iterator[Exchange]:
        """Every rollout with its attack, answers and verdicts."""
        return read_records(self._folder.exchanges, Exchange)

    def pairs(self) -> Iterator[PreferencePair]:
        """What DPO learns from."""
        return read_records(self._folder.pairs, PreferencePair)

    def demonstrations(self) -> Iterator[Demonstration]:
        """What SFT learns from."""
        return read_records(self._folder.demonstrations, Demonstration)

    def dropped(self) -> Iterator[Dropped]:
        """What was thrown away, at which stage and why."""
        return read_records(self._folder.dropped, Dropped)

    def evaluation_items(self) -> Iterator[ItemResult]:
        """Every held-out prompt with the candidate's reply and its verdict."""
        return read_records(self._folder.evaluation_items, ItemResult)

    @property
    def evaluation(self) -> Evaluation | None:
        """The candidate's figures; None: it is not measured yet."""
        path = self._folder.evaluation_json
        return read_record(path, Evaluation) if path.exists() else None

    @property
    def promotion(self) -> Promotion | None:
        """The gate's decision; None: there is none yet, or none to make (round 0)."""
        path = self._folder.promotion_json
        return read_record(path, Promotion) if path.exists() else None

    @property
    def checkpoint(self) -> Checkpoint | None:
        """The candidate, its adapter as an absolute path; None: there is none."""
        path = self._folder.checkpoint_json
        return self._run.located(read_record(path, Checkpoint)) if path.exists() else None

    @property
    def summary(self) -> RoundSummary:
        """The figures behind the round's table."""
        return next(summary for summary in summarise(self._run).rounds if summary.round == self.number)


class Run:
    """A run folder, read-only; `superalign.open_run` makes it, and `run`, `resume` and `attack` return it."""

    def __init__(self, folder: RunFolder) -> None:
        """`folder` is open read-only."""
        self._folder = folder
        self.path = folder.path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {len(self.rounds)} rounds)"

    @property
    def rounds(self) -> list[Round]:
        """Every round that has begun, in order; the first is round 0 (of `attack`: round 1)."""
        numbers = sorted(int(path.name) for path in (self.path / ROUNDS).glob("[0-9]*"))
        return [Round(self._folder, number) for number in numbers]

    @property
    def recipe(self) -> Recipe:
        """The recipe that the run began with; raises RecipeError where it was altered since."""
        return kept_recipe(self._folder)

    @property
    def current(self) -> Checkpoint | None:
        """The promoted checkpoint, checked against its hash, its adapter as an absolute path; None: there is none."""
        if not (self.path / CURRENT).exists():
            return None
        return self._folder.located(self._folder.current())

    @property
    def summary(self) -> RunSummary:
        """All figures of the run, as `superalign show --json` prints them."""
        return summarise(self._folder)

    def verify(self) -> list[Finding]:
        """Every file of a sealed round that was altered, added or lost since; []: none was."""
        return verify(self.path)

    def to_trl(self, rows: RowKind = "pairs", round: int | None = None) -> list[dict[str, Any]]:
        """Training examples in TRL's conversational form: pairs for DPOTrainer, demonstrations for SFTTrainer.

        Pairs have the columns prompt, chosen and rejected, demonstrations prompt and completion, each a list of
        messages. round: only of this one; None: of all. TRL trains an end token after every answer, also after one
        that was cut at `max_tokens` (`Target.complete` is False). Raises RunFolderError where there is no such round.
        """
        rounds = [r for r in self.rounds if round in (None, r.number)]
        if round is not None and not rounds:
            raise RunFolderError(f"{self.path}: there is no round {round}", "`superalign show` lists the rounds")
        if rows == "pairs":
            return [
                {"prompt": _chat(p.prompt), "chosen": _reply(p.chosen.text), "rejected": _reply(p.rejected.text)}
                for r in rounds
                for p in r.pairs()
            ]
        return [
            {"prompt": _chat(d.prompt), "completion": _reply(d.completion.text)}
            for r in rounds
            for d in r.demonstrations()
        ]


def open_run(folder: str | Path) -> Run:
    """A run folder for reading, also beside the process that plays it; raises RunFolderError where it is none."""
    return Run(RunFolder.open(Path(folder), read_only=True))


def _chat(messages: Messages) -> list[dict[str, str]]:
    return [message.model_dump() for message in messages]


def _reply(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
