from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.toy import make_run


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    """A run with a promoted round, a refused one, and the beginning of a third."""
    return make_run(tmp_path / "toy")
