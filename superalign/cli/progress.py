"""Who watches a run: bars where stderr is a terminal, a line now and then where it is not; never a word on stdout."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeVar

from superalign.cli.exit import run_until_stopped
from superalign.cli.format import clean, seconds
from superalign.protocols import Observer, PoolStats

LINE_EVERY_S = 10.0
RATE_OVER_S = 1.0
"""No rate is shown before this much time has passed: the first unit would promise anything."""
OnRound = Callable[[int], None]
T = TypeVar("T")


class Watcher(Observer, Protocol):
    """An observer of a command, which ends."""

    def close(self) -> None:
        """Clear the bar of a phase that was cut short."""
        ...


def watcher(on_round: OnRound = lambda number: None, zero: str = "base") -> Watcher:
    """The one that fits stderr; `on_round` prints the table of a sealed round, `zero` is what round 0 is called."""
    if sys.stderr.isatty():
        from superalign.cli.progress_bars import Bars

        return Bars(on_round, zero)
    return Lines(on_round, zero)


def watched(work: Callable[[Observer], Coroutine[Any, Any, T]], *, round: int = 0, resume: str = "") -> T:
    """Run a command's work under a watcher, until it ends or is stopped; resume: the command that goes on."""
    observer = watcher(zero="")
    observer.phase(round, "start", None)  # an engine takes its time
    try:
        return run_until_stopped(work(observer), resume=resume, said=observer.notice)
    finally:
        observer.close()


class Phase:
    """Counts of the phase in hand."""

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

    def trained(self, event: dict[str, Any]) -> None:
        """Take over a training child's count; its second stage begins at zero again."""
        step = int(event.get("step", 0))
        if event.get("stage") == "preflight":
            self.note = f"{event.get('kept', 0)} examples"
            return
        if step < self.done:
            self.started_with, self.started = step, time.monotonic()
        elif not self.done and step:
            self.started_with = step  # loading the model is not the first step's time
            self.started = time.monotonic()
        self.done, self.total = step, event.get("steps", self.total)
        loss = event.get("loss")
        self.note = f"{event.get('stage', '')}" + (f" loss {loss:.3f}" if isinstance(loss, float) else "")

    def rate(self) -> float | None:
        """Units a second in this sitting."""
        elapsed, units = time.monotonic() - self.started, self.done - self.started_with
        return units / elapsed if units > 0 and elapsed >= RATE_OVER_S else None

    def left_s(self) -> float | None:
        """Seconds to go at this rate."""
        rate = self.rate()
        return None if rate is None or self.total is None else max(0, self.total - self.done) / rate

    def words(self, tokens: int) -> list[str]:
        """Count, time left and rates, what of them is known; `tokens`: the engine's count by now."""
        found = [f"{self.done} of {self.total}{self.unit}" if self.total else f"{self.done}{self.unit}"]
        rate, left, generated = self.rate(), self.left_s(), tokens - self.tokens_before
        if left is not None:
            found.append(f"{seconds(left)} left")
        if rate is not None:
            found.append(f"{rate:.2g}/s" if rate < 10 else f"{rate:.0f}/s")
        if generated > 0 and (elapsed := time.monotonic() - self.started) >= RATE_OVER_S:
            found.append(f"{generated / elapsed:.0f} tokens/s")
        if self.note:
            found.append(self.note)
        return found

    def ending(self, took_s: float, tokens: int) -> str:
        """The line that stays when the phase is over."""
        units = self.done - self.started_with if self.started_with and "train" not in self.label else self.done
        found = [f"{units}{self.unit} in {seconds(took_s)}" if units else f"done in {seconds(took_s)}"]
        if units and took_s >= RATE_OVER_S and not self.unit:
            found.append(f"{units / took_s:.2g}/s" if units / took_s < 10 else f"{units / took_s:.0f}/s")
        if tokens and took_s >= RATE_OVER_S:
            found.append(f"{tokens / took_s:.0f} tokens/s")
        if self.note:
            found.append(self.note)
        return f"{self.label}: {', '.join(found)}"


class Lines:
    """Plain lines: start and end of each phase, and in between one every ten seconds at most."""

    def __init__(self, on_round: OnRound, zero: str = "base") -> None:
        self._on_round = on_round
        self._zero = zero
        self._phase: Phase | None = None
        self._stats: Callable[[], PoolStats] = PoolStats
        self._spoke = 0.0

    def phase(self, round: int, name: str, total: int | None, done: int = 0) -> None:
        """Say what begins."""
        self._phase = Phase(f"round {round}" if round else self._zero, name, total, done, self._tokens())
        what = f" {total - done} to do" if total is not None else " begins"
        self._say(f"{self._phase.label}:{what}" + (f", {done} were done before" if done else ""))

    def advance(self, units: int = 1) -> None:
        """Count; speak when ten seconds have passed."""
        if self._phase is not None:
            self._phase.done += units
            self._now_and_then()

    def training(self, event: dict[str, Any]) -> None:
        """Count steps."""
        if self._phase is not None:
            self._phase.trained(event)
            self._now_and_then()

    def phase_done(self, seconds: float, tokens: int) -> None:
        """Say what it came to."""
        if self._phase is not None:
            self._say(self._phase.ending(seconds, tokens))
        self._phase = None

    def round_done(self, round: int) -> None:
        """Let the round's table be printed."""
        self._on_round(round)

    def notice(self, text: str) -> None:
        """Say it."""
        self._say(clean(text))

    def watch(self, stats: Callable[[], PoolStats]) -> None:
        """Where tokens are counted."""
        self._stats = stats

    def close(self) -> None:
        """Nothing is left on the screen."""

    def _now_and_then(self) -> None:
        if self._phase is not None and time.monotonic() - self._spoke >= LINE_EVERY_S:
            self._say(f"{self._phase.label}: {', '.join(self._phase.words(self._tokens()))}")

    def _say(self, text: str) -> None:
        self._spoke = time.monotonic()
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def _tokens(self) -> int:
        return self._stats().generated_tokens
