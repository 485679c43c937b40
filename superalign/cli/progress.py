"""Who watches a run: bars where stderr is a terminal, a line now and then where it is not; never a word on stdout."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from types import FrameType
from typing import Any, TypeVar

from superalign.cli.exit import StoppedError
from superalign.cli.format import clean, seconds
from superalign.protocols import Observer, PoolStats

LINE_EVERY_S = 10.0
"""At most one line of progress in this time."""
SILENT_S = 30.0
"""After this much silence a line says that the phase is still under way."""
RATE_OVER_S = 1.0
"""No rate is shown before this much time has passed: the first unit would promise anything."""
BURST_SHARE = 0.1
"""Units come in batches. Time left is estimated once the arrivals span this share of the wait for the first one."""
OnRound = Callable[[int], None]
T = TypeVar("T")


def watcher(on_round: OnRound = lambda number: None, zero: str = "base") -> Watcher:
    """The one that fits stderr; `on_round` prints the table of a sealed round, `zero` is what round 0 is called."""
    if sys.stderr.isatty():
        from superalign.cli.progress_bars import Bars

        return Bars(on_round, zero)
    return ProgressLines(on_round, zero)


def watched(
    work: Callable[[Observer], Coroutine[Any, Any, T]], *, round: int = 0, resume: str = "", loading: str = ""
) -> T:
    """Run a command's work under a watcher, until it ends or is stopped.

    resume: the command that goes on; loading: what the start of the engine loads.
    """
    observer = watcher(zero="")
    observer.phase(round, f"start, loading {clean(loading)}" if loading else "start", None)
    try:
        return run_until_stopped(work(observer), resume=resume, say=observer.notice)
    finally:
        observer.close()


def run_until_stopped(main: Coroutine[Any, Any, T], *, resume: str = "", say: Callable[[str], None] = print) -> T:
    """`asyncio.run`, where the first SIGINT or SIGTERM cancels, so that every context manager closes; the next kills.

    Raises StoppedError after the first; whatever else the cancelled work raised on its way out is its cause.
    """
    stopped: list[int] = []

    async def supervised() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)

        def stop(signum: int, frame: FrameType | None) -> None:
            stopped.append(signum)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            loop.call_soon_threadsafe(say, "stopping, the write in hand is finished first; again to end at once")
            loop.call_soon_threadsafe(task.cancel)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return await task
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    try:
        return asyncio.run(supervised())
    except (Exception, asyncio.CancelledError) as error:
        if stopped:  # an engine that got the same Ctrl-C may fail before the cancellation arrives
            raise StoppedError(stopped[0], resume) from error
        raise


class Phase:
    """Counts of the phase under way."""

    def __init__(self, where: str, name: str, total: int | None, done: int, tokens: int) -> None:
        self.label = f"{where} {name}".strip()
        self.total = total
        self.done = done
        """Units finished, those from before an interruption included."""
        self.started_with = done
        self.tokens_before = tokens
        self.note = ""
        """The loss, while training."""
        self.unit = "" if name != "train" else " steps"
        self.started = time.monotonic()
        self.first_at: float | None = None
        """When the first unit of this sitting was finished."""

    def advance(self, units: int) -> None:
        """Count finished units."""
        self.done += units
        self.first_at = self.first_at or time.monotonic()

    def trained(self, event: dict[str, Any]) -> None:
        """Take over a training child's count; its second stage begins at zero again."""
        step = int(event.get("step", 0))
        if event.get("stage") == "preflight":
            self.note = f"{event.get('kept', 0)} examples"
            return
        if step < self.done or (not self.done and step):  # loading the model is not the first step's time
            self.started_with, self.started = step, time.monotonic()
        self.done, self.total = step, event.get("steps", self.total)
        loss = event.get("loss")
        self.note = f"{event.get('stage', '')}" + (f" loss {loss:.3f}" if isinstance(loss, float) else "")

    def rate(self) -> float | None:
        """Units a second in this sitting; None while it can't be told."""
        now, units = time.monotonic(), self.done - self.started_with
        if self.first_at is not None and now - self.first_at < BURST_SHARE * (self.first_at - self.started):
            return None
        elapsed = now - self.started
        return units / elapsed if units > 0 and elapsed >= RATE_OVER_S else None

    def left_s(self) -> float | None:
        """Seconds to go at this rate."""
        rate = self.rate()
        return None if rate is None or self.total is None else max(0, self.total - self.done) / rate

    def words(self, tokens: int) -> list[str]:
        """Count, time left and rates, as far as they are known; `tokens`: the engine's count by now."""
        parts = [f"{self.done} of {self.total}{self.unit}" if self.total else f"{self.done}{self.unit}"]
        rate, left, elapsed = self.rate(), self.left_s(), time.monotonic() - self.started
        if not self.total and not self.done:
            parts = []
        if left is not None:
            parts.append(f"{seconds(left)} left")
        elif elapsed >= RATE_OVER_S:
            parts.append(seconds(elapsed))
        if rate is not None:
            parts.append(_a_second(rate))
        if (generated := tokens - self.tokens_before) > 0 and elapsed >= RATE_OVER_S:
            parts.append(f"{generated / elapsed:.0f} tokens/s")
        if self.note:
            parts.append(self.note)
        return parts

    def ending(self, took_s: float, tokens: int) -> str:
        """The line that stays when the phase is over."""
        units = self.done - self.started_with if self.started_with and "train" not in self.label else self.done
        parts = [f"{units}{self.unit} in {seconds(took_s)}" if units else f"done in {seconds(took_s)}"]
        if units and took_s >= RATE_OVER_S and not self.unit:
            parts.append(_a_second(units / took_s))
        if tokens and took_s >= RATE_OVER_S:
            parts.append(f"{tokens / took_s:.0f} tokens/s")
        if self.note:
            parts.append(self.note)
        return f"{self.label}: {', '.join(parts)}"


class Watcher:
    """An observer that counts; how it shows the counts is for `ProgressLines` and `Bars` to say."""

    def __init__(self, on_round: OnRound, zero: str = "base") -> None:
        self.current: Phase | None = None
        self._on_round, self._zero = on_round, zero
        self._stats: Callable[[], PoolStats] = PoolStats

    def phase(self, round: int, name: str, total: int | None, done: int = 0) -> None:
        """A phase begins."""
        self.close()
        self.current = Phase(f"round {round}" if round else self._zero, name, total, done, self.tokens())
        self._show_start(self.current)

    def advance(self, units: int = 1) -> None:
        """Units are finished."""
        if self.current is not None:
            self.current.advance(units)
            self._show(self.current)

    def training(self, event: dict[str, Any]) -> None:
        """Training has come to a step."""
        if self.current is not None:
            self.current.trained(event)
            self._show(self.current)

    def phase_done(self, seconds: float, tokens: int) -> None:
        """The phase is over."""
        phase = self.current
        self.close()
        if phase is not None:
            self._show_end(phase, seconds, tokens)

    def round_done(self, round: int) -> None:
        """Let the round's table be printed."""
        self.close()
        self._on_round(round)

    def watch(self, stats: Callable[[], PoolStats]) -> None:
        """Tokens are counted by `stats`."""
        self._stats = stats

    def tokens(self) -> int:
        """Generated since the engine's start."""
        return self._stats().generated_tokens

    def notice(self, text: str) -> None:
        """Show a line that stays."""
        raise NotImplementedError

    def close(self) -> None:
        """End what is shown of a phase that was cut short."""
        self.current = None

    def _show_start(self, phase: Phase) -> None:
        raise NotImplementedError

    def _show(self, phase: Phase) -> None:
        raise NotImplementedError

    def _show_end(self, phase: Phase, took_s: float, tokens: int) -> None:
        raise NotImplementedError


class ProgressLines(Watcher):
    """Plain lines: start and end of each phase, and in between one every ten seconds at most."""

    def __init__(self, on_round: OnRound = lambda number: None, zero: str = "base") -> None:
        super().__init__(on_round, zero)
        self._printed_at = 0.0
        self._over: threading.Event | None = None

    def notice(self, text: str) -> None:
        """Show a line."""
        self._print(clean(text))

    def close(self) -> None:
        """End the phase without a word."""
        super().close()
        if self._over is not None:
            self._over.set()
            self._over = None

    def _show_start(self, phase: Phase) -> None:
        before = ", done before" if phase.done else ""
        self._print(f"{phase.label}: " + (f"{phase.done} of {phase.total}{before}" if phase.total else "begins"))
        self._over = threading.Event()
        threading.Thread(target=self._break_silence, args=(phase, self._over), daemon=True).start()

    def _show(self, phase: Phase) -> None:
        if time.monotonic() - self._printed_at >= LINE_EVERY_S:
            self._print(f"{phase.label}: {', '.join(phase.words(self.tokens()))}")

    def _show_end(self, phase: Phase, took_s: float, tokens: int) -> None:
        self._print(phase.ending(took_s, tokens))

    def _break_silence(self, phase: Phase, over: threading.Event) -> None:
        while not over.wait(SILENT_S):
            if time.monotonic() - self._printed_at >= SILENT_S:
                self._show(phase)

    def _print(self, text: str) -> None:
        self._printed_at = time.monotonic()
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _a_second(rate: float) -> str:
    return f"{rate:.2g}/s" if rate < 10 else f"{rate:.0f}/s"
