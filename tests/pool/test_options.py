"""Which engine `auto` is, and how wide its window."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superalign.pool.options import AutoOptions, TransformersOptions, VllmOptions, choose, fitted


@pytest.mark.parametrize(("own", "window"), [(1024, 1024), (8192, 2048)])
def test_a_window_that_nobody_named_is_no_wider_than_the_models(tmp_path: Path, own: int, window: int) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_positions": own}))
    for options in (VllmOptions(), TransformersOptions(), choose(AutoOptions())):
        assert fitted(options, str(tmp_path)).max_model_len == window  # type: ignore[type-var]
    for named in (VllmOptions(max_model_len=1500), choose(AutoOptions(max_model_len=1500))):
        assert fitted(named, str(tmp_path)).max_model_len == 1500  # type: ignore[type-var]


def test_what_is_wrong_with_a_model_is_left_to_the_engine_to_say(tmp_path: Path) -> None:
    assert fitted(VllmOptions(), str(tmp_path / "nowhere")) == VllmOptions()
