"""What CONTRIBUTING.md says a new file must pass, for those that have no test of their own: the shipped suites."""

from __future__ import annotations

from pathlib import Path

import pytest

from superalign.errors import PromptFileError
from superalign.evaluation.load_suites import load_suites
from superalign.evaluation.options import EvaluationOptions
from superalign.files.find import prompt_path

SUITES = sorted(path.stem for path in prompt_path("suites").glob("*.yaml") if path.stem != "plain_text")


@pytest.mark.parametrize("suite", SUITES)
def test_every_shipped_suite_loads_under_its_own_name(suite: str) -> None:
    [loaded], _ = load_suites(EvaluationOptions(suites=(suite,)))
    assert loaded.name == suite
    assert len({item.id for item in loaded.items}) == len(loaded.items) > 0


def test_a_faulty_one_is_told_by_line(tmp_path: Path) -> None:
    path = tmp_path / "keys.yaml"
    path.write_text("suite: keys\nitems:\n  - {id: a, prompt: Which keys are black?, intent: bening}\n")
    with pytest.raises(PromptFileError, match=r"keys\.yaml:3"):
        load_suites(EvaluationOptions(suites=(str(path),)))
