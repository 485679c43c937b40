"""Progress where stderr is a file: few lines, whole ones, and the figures in them."""

from __future__ import annotations

import pytest

from superalign.cli import progress
from superalign.cli.progress import Phase, ProgressLines, watcher
from superalign.cli.progress_bars import Bars
from superalign.protocols import PoolStats


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_lines_are_few(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    generated = 0
    lines, rounds = ProgressLines(lambda number: rounds.append(number)), list[int]()
    lines.watch(lambda: PoolStats(generated_tokens=generated))
    lines.phase(1, "attack", 100, 20)
    for _ in range(80):
        clock.now += 0.5
        generated += 50
        lines.advance()
    lines.phase_done(40.0, 4000)
    lines.round_done(1)
    out, err = capsys.readouterr()
    said = [line.partition(" ")[2] for line in err.splitlines()]
    assert out == ""
    assert rounds == [1]
    assert said[0] == "round 1 attack: 20 of 100, done before"
    assert said[1] == "round 1 attack: 40 of 100, 30 s left, 2/s, 100 tokens/s"
    assert said[-1] == "round 1 attack: 80 in 40 s, 2/s, 100 tokens/s"
    assert len(said) == 6


def test_training_steps_move_the_phase(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines(lambda number: None)
    lines.phase(2, "train", None)
    lines.training({"stage": "preflight", "kept": 60})
    lines.training({"stage": "sft", "step": 0})
    for step in range(1, 21):
        clock.now += 1.0
        lines.training({"stage": "sft", "step": step, "steps": 40, "loss": 2.0 / step})
    lines.phase_done(20.0, 0)
    err = capsys.readouterr().err
    assert "round 2 train: 10 of 40 steps, 30 s left, 1/s, sft loss 0.200" in err
    assert err.splitlines()[-1].endswith("round 2 train: 20 steps in 20 s, sft loss 0.100")


def test_a_second_stage_counts_from_zero(clock: Clock) -> None:
    phase = Phase("round 1", "train", None, 0, 0)
    phase.trained({"stage": "sft", "step": 9, "steps": 9, "loss": 1.0})
    phase.trained({"stage": "dpo", "step": 0})
    assert (phase.done, phase.rate()) == (0, None)


def test_stderr_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, type in ((False, ProgressLines), (True, Bars)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal, raising=False)
        assert isinstance(watcher(), type)


def test_a_bar_cut_short_is_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    bars = Bars(lambda number: None)
    bars.phase(1, "attack", 10)
    bars.advance(3)
    bars.notice("[bold]text[/bold] \x1b[2J")
    bars.phase(1, "train", None)
    bars.training({"stage": "sft", "step": 1, "steps": 2, "loss": 0.5})
    bars.close()
    bars.close()
    assert "[bold]text[/bold]" in capsys.readouterr().err
