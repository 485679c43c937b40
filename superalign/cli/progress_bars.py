"""Progress on a terminal: one bar for the phase in hand, and a line that stays for each that is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from superalign.cli.format import clean, seconds
from superalign.cli.progress import OnRound, Phase
from superalign.protocols import PoolStats


class _Words(ProgressColumn):
    """Count, rates and time left."""

    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self._bars = bars

    def render(self, task: Task) -> Text:
        """What is known, as much as fits."""
        phase = self._bars.current
        if phase is None:
            return Text()
        if not phase.done and not phase.note:
            return Text(seconds(task.elapsed or 0.0))
        return Text(", ".join(phase.words(self._bars.tokens())), no_wrap=True, overflow="ellipsis")


class Bars:
    """An observer for people. The bar is gone before anything goes to stdout, so the two never mix."""

    def __init__(self, on_round: OnRound, zero: str = "base") -> None:
        self.current: Phase | None = None
        self._on_round = on_round
        self._zero = zero
        self._console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None
        self._stats: Callable[[], PoolStats] = PoolStats

    def phase(self, round: int, name: str, total: int | None, done: int = 0) -> None:
        """Show a bar; one of unknown length wanders."""
        self.close()
        self.current = Phase(f"round {round}" if round else self._zero, name, total, done, self.tokens())
        bar = BarColumn(bar_width=max(8, min(30, self._console.width - 70)))
        columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), bar, _Words(self))
        self._progress = Progress(
            *columns, console=self._console, transient=True, refresh_per_second=4, redirect_stdout=False
        )
        self._progress.add_task(self.current.label, total=total, completed=done)
        self._progress.start()

    def advance(self, units: int = 1) -> None:
        """Move the bar."""
        if self.current is not None:
            self.current.done += units
            self._move()

    def training(self, event: dict[str, Any]) -> None:
        """Move the bar to a training step."""
        if self.current is not None:
            self.current.trained(event)
            self._move()

    def phase_done(self, seconds: float, tokens: int) -> None:
        """The bar gives way to a line."""
        worth_a_line = self.current is not None and (self.current.done or seconds >= 1)
        ended = self.current.ending(seconds, tokens) if self.current and worth_a_line else ""
        self.close()
        if ended:
            self._console.print(Text(ended))

    def round_done(self, round: int) -> None:
        """Let the round's table be printed."""
        self.close()
        self._on_round(round)

    def notice(self, text: str) -> None:
        """A line above the bar."""
        (self._progress.console if self._progress else self._console).print(Text(clean(text)))

    def watch(self, stats: Callable[[], PoolStats]) -> None:
        """Where tokens are counted."""
        self._stats = stats

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = self.current = None

    def tokens(self) -> int:
        """Generated since the engine's start."""
        return self._stats().generated_tokens

    def _move(self) -> None:
        if self._progress is not None and self.current is not None:
            [task] = self._progress.task_ids
            self._progress.update(task, total=self.current.total, completed=self.current.done)
