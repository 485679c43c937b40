"""Progress on a terminal: one bar for the phase under way, and a line that stays for each that is over."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.text import Text

from superalign.cli.format import clean
from superalign.cli.progress import OnRound, Phase, Watcher


class _Words(ProgressColumn):
    """Count, rates and time left."""

    def __init__(self, bars: Bars) -> None:
        super().__init__()
        self._bars = bars

    def render(self, task: Task) -> Text:
        """What is known, as much as fits."""
        phase = self._bars.current
        return Text(", ".join(phase.words(self._bars.tokens())) if phase else "", no_wrap=True, overflow="ellipsis")


class Bars(Watcher):
    """An observer for people. The bar is gone before anything goes to stdout, so the two never mix."""

    def __init__(self, on_round: OnRound, zero: str = "base") -> None:
        super().__init__(on_round, zero)
        self._console = Console(stderr=True, highlight=False)
        self._progress: Progress | None = None

    def notice(self, text: str) -> None:
        """A line above the bar."""
        (self._progress.console if self._progress else self._console).print(Text(clean(text)))

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()
        self._progress = None
        super().close()

    def _show_start(self, phase: Phase) -> None:
        bar = BarColumn(bar_width=max(8, min(30, self._console.width - 70)))  # of an unknown total: it wanders
        columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), bar, _Words(self))
        self._progress = Progress(
            *columns, console=self._console, transient=True, refresh_per_second=4, redirect_stdout=False
        )
        self._progress.add_task(phase.label, total=phase.total, completed=phase.done)
        self._progress.start()

    def _show(self, phase: Phase) -> None:
        if self._progress is not None:
            [task] = self._progress.task_ids
            self._progress.update(task, total=phase.total, completed=phase.done)

    def _show_end(self, phase: Phase, took_s: float, tokens: int) -> None:
        if phase.done or took_s >= 1:
            self._console.print(Text(phase.ending(took_s, tokens)))
