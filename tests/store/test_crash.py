"""SIGKILL at every point where the disk changes: resume ends with the bytes of an uninterrupted run."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from superalign.store.manifest import verify
from tests.store.toy_run_folder import contents, in_child, toy_run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_and_die(path: Path, at: int, order: int) -> None:
    """Play the toy run until the `at`-th change of the disk: before a rename, after it, or in the middle of a line."""
    seen = 0
    rename, write = Path.replace, os.write

    def reached() -> bool:
        nonlocal seen
        seen += 1
        return seen == at

    def replace(source: Path, target: Path) -> Path:
        if reached():
            die()
        result = rename(source, target)
        if reached():
            die()
        return result

    def half(fd: int, data: memoryview) -> int:
        if reached():
            write(fd, data[: len(data) // 2])
            die()
        return write(fd, data)

    Path.replace = replace  # type: ignore[assignment, method-assign]
    os.write = half  # type: ignore[assignment]
    toy_run(path, order)


def test_a_kill_at_any_point_changes_nothing(memory_path: Path) -> None:
    toy_run(memory_path / "whole")
    whole = contents(memory_path / "whole")
    assert verify(memory_path / "whole") == []
    points, path = 0, memory_path / "run"
    while True:
        points += 1
        status = in_child(lambda at=points: run_and_die(path, at, order=at))  # type: ignore[misc]
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            break
        toy_run(path, order=points + 1000)
        assert contents(path) == whole, f"killed at point {points}"
        assert verify(path) == []
        shutil.rmtree(path)
    assert points > 80


def test_a_run_killed_again_and_again_still_ends(memory_path: Path) -> None:
    toy_run(memory_path / "whole")
    for _ in range(60):
        status = in_child(lambda: run_and_die(memory_path / "run", 16, order=7))
        if os.WIFEXITED(status):
            break
    assert os.WIFEXITED(status)
    assert os.WEXITSTATUS(status) == 0
    assert contents(memory_path / "run") == contents(memory_path / "whole")
