"""`superalign.__all__` is the contract: names, signatures, docstrings, and nothing heavy at import."""

from __future__ import annotations

import inspect
import pkgutil
import subprocess
import sys
from typing import Any, get_type_hints

import pytest

import superalign

SIGNATURES = {
    "attack": "recipe, out, observer, model, adapter, pool, attacker, critic",
    "calibrate": "recipe, labels, columns, who, guarantee, out, observer",
    "compare": "models, out, observer, asked",
    "decide": "candidate, incumbent, options, base",
    "evaluate": "model, adapter, out, observer, asked",
    "export_model": "run, to, form, round, dtype",
    "load_recipe": "recipe, overrides, base_dir",
    "open_run": "folder",
    "resume": "folder, rounds, observer, recipe, pool, attacker, critic, judge, trainer",
    "run": "recipe, out, rounds, observer, pool, attacker, critic, judge, trainer",
}
ASKED = "suites plain_text lm_eval judge calibration max_tokens samples temperature pool"
RUN = "path rounds recipe current summary verify to_trl"
ROUND = (
    "number done exchanges pairs demonstrations dropped evaluation evaluation_items promotion checkpoint summary"
)  # fmt: skip
NAMES = """
    Answer Attack Attacker Calibration Check Checkpoint Compared Comparer Contrast Critic Critique Demonstration
    DropError Dropped Evaluation EvaluationRequest Evaluator Exchange ExportError ExportReport GateOptions
    Generation InferencePool Interval ItemResult Learner Message ModelError Observer PoolError PoolStats
    PreferencePair ProgressLines Promotion PromptFileError PromptTooLongError Recipe RecipeError Response Revision
    Rollout Round Run RunFolderError Sampling Score Seed Silent Subject SuiteResult SuiteSource SuperalignError
    Target Trainer TrainingError TrainingStopped Verdict
"""


def test_the_names_are_these() -> None:
    assert set(superalign.__all__) == {*NAMES.split(), *SIGNATURES, "__version__"}
    assert len(set(superalign.__all__)) == len(superalign.__all__)
    assert dir(superalign) == sorted(superalign.__all__)


@pytest.mark.parametrize("name", sorted(set(superalign.__all__) - {"__version__"}))
def test_each_name_resolves_and_says_what_it_is(name: str) -> None:
    found = getattr(superalign, name)
    assert found.__name__ == name
    assert inspect.getdoc(found), f"{name} has no docstring"
    if inspect.isclass(found) and found.__module__.startswith("superalign.api"):
        methods = [value for key, value in vars(found).items() if not key.startswith("_")]
        assert all(inspect.getdoc(method) for method in methods), name


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_the_functions_take_these(name: str) -> None:
    function = getattr(superalign, name)
    signature = inspect.signature(function)
    assert list(signature.parameters) == SIGNATURES[name].split(", ")
    assert signature.return_annotation is not inspect.Signature.empty
    assert not inspect.iscoroutinefunction(function)


def test_what_is_asked_and_what_a_run_shows() -> None:
    assert list(get_type_hints(superalign.EvaluationRequest)) == ASKED.split()
    public: Any = lambda cls: {name for name in vars(cls) if not name.startswith("_")}  # noqa: E731
    assert public(superalign.Run) == set(RUN.split()) - {"path"}
    assert public(superalign.Round) == set(ROUND.split()) - {"number"}


def test_no_name_is_that_of_a_room() -> None:
    """Importing `superalign.export` puts the room where a function of that name would be."""
    rooms = {module.name for module in pkgutil.iter_modules(superalign.__path__)}
    assert not rooms & set(superalign.__all__)


def test_the_import_costs_nothing_and_the_names_cost_no_torch() -> None:
    code = (
        "import sys, superalign; print(*(set(sys.modules) & {'pydantic', 'yaml', 'torch', 'numpy', 'typer'}), '|'); "
        "[getattr(superalign, name) for name in superalign.__all__]; "
        "print(*(set(sys.modules) & {'torch', 'transformers', 'trl', 'vllm', 'typer'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["|"]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'runn'"):
        superalign.runn  # type: ignore[attr-defined] # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    import importlib.resources

    assert (importlib.resources.files(superalign) / "py.typed").is_file()


def test_python_dash_m_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "superalign", "--version"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == f"superalign {superalign.__version__}\n"
