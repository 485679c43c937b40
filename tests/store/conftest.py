"""Fixtures of the store's tests."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.toy_run_folder import toy_run


@pytest.fixture(autouse=True)
def _no_power_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing the system has taken, so these tests need not wait for the disk."""
    monkeypatch.setattr(os, "fsync", lambda fd: None)


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: disks wait at each rename over a file."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished toy run of two rounds; the first was promoted, the second refused. To be copied, not changed."""
    path = tmp_path_factory.mktemp("finished") / "run"
    toy_run(path)
    return path


@pytest.fixture
def run_path(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of `finished_run` of one's own."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))
