"""Fixtures of the loop's tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.loop.toys import contents, run, server


@dataclass(frozen=True)
class Whole:
    """A run that nothing interrupted."""

    path: Path
    bytes: dict[str, bytes]
    asked: list[str]


@pytest.fixture(scope="session", autouse=True)
def _server() -> Iterator[None]:
    with server():
        yield


@pytest.fixture(scope="session")
def whole(_server: None, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """To be read, not changed."""
    folder = tmp_path_factory.mktemp("whole")
    sitting = run(folder)
    assert sitting.code == 0, sitting.said
    return Whole(folder / "run", contents(folder / "run"), sitting.asked())
