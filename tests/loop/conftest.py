"""Fixtures of the loop's tests, which fork and kill: not for Windows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

collect_ignore_glob = [] if os.name == "posix" else ["test_*.py"]


@dataclass(frozen=True)
class Whole:
    """A run that nothing interrupted."""

    path: Path
    bytes: dict[str, bytes]
    asked: list[str]


@pytest.fixture(scope="session", autouse=True)
def _server() -> Iterator[None]:
    from tests.loop.toys import server

    with server():
        yield


@pytest.fixture(scope="session")
def whole(_server: None, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """To be read, not changed."""
    from tests.loop.toys import contents, run

    folder = tmp_path_factory.mktemp("whole")
    sitting = run(folder)
    assert sitting.code == 0, sitting.said
    return Whole(folder / "run", contents(folder / "run"), sitting.asked())
