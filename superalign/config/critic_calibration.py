"""The recipe's critic and the file that says how good it is: whether the two belong together, and reach the floor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from superalign.config.recipe import Recipe
from superalign.critic.options import AsksModel, ProbeOptions, Question, within
from superalign.critic.quality.report import Calibration, below_floor, load_calibration
from superalign.errors import PromptFileError, RecipeError
from superalign.files.find import prompt_path
from superalign.records.evaluation import Interval

Who = Literal["critic", "judge"]
COMMAND = "superalign critic calibrate RECIPE --labels FILE --out FILE"


def fingerprint(recipe: Recipe, base_dir: Path, who: Who = "critic") -> str:
    """SHA-256 of all that the verdicts depend on: options, the files they name, constitution, models.

    base_dir: the recipe's folder.
    """
    options, role = getattr(recipe, who), getattr(recipe.roles, who)
    learns = any(isinstance(part, ProbeOptions) for part in within(options))
    files = sorted({*_texts(options.model_dump(mode="json")), *(version.file for version in recipe.constitution)})
    named = {
        "options": options.model_dump(mode="json"),
        "role": role.model_dump(mode="json"),
        "models": [
            asked or role.model or recipe.model
            for part in within(options)
            if isinstance(part, AsksModel)
            for asked in part.asked
        ],
        "embedder": recipe.embedder,
        "files": {name: digest for name in files if (digest := _digest(name, base_dir))},
        "experts": _digest(recipe.experts, base_dir) if recipe.experts and learns else None,
    }
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def calibration_of(recipe: Recipe, base_dir: Path) -> Calibration | None:
    """The critic's file; None where the recipe names none.

    Raises RecipeError where a floor is asked for without a file, is not reached, or the file is of another critic.
    """
    if recipe.critic_calibration is None:
        if recipe.floor is not None:
            hint = f"measure it with `{COMMAND}` and name that file as critic_calibration, or leave floor out"
            raise RecipeError("floor: this critic was never measured, so nothing is trained on its word", hint)
        return None
    path = prompt_path(recipe.critic_calibration, base_dir)
    calibration = load_calibration(path)
    if calibration.fingerprint != fingerprint(recipe, base_dir):
        what = f"critic_calibration: {path} is of another critic than the recipe's, or of this one before it changed"
        raise RecipeError(what, f"measure it anew with `{COMMAND}`")
    if recipe.floor is not None and (broken := below_floor(recipe.floor, calibration)):
        raise RecipeError(
            f"floor: on {calibration.labels} the critic {calibration.critic} is not good enough at "
            f"{recipe.floor.question} to be trained on: {'; '.join(broken)}",
            "name a better critic, or lower the floor",
        )
    return calibration


def error_rates(calibration: Calibration, question: Question = "harm") -> dict[str, Interval]:
    """A critic's sensitivity and specificity at a question, with which rates are corrected; {}: not measured."""
    quality = calibration.questions.get(question)
    if quality is None:
        return {}
    return {"sensitivity": quality.overall.recall, "specificity": quality.overall.specificity}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(part)


def _digest(name: str, base_dir: Path) -> str | None:
    """Hash of a file, or of a folder's Python files; None where there is no such file."""
    try:
        path = prompt_path(name, base_dir)
    except (PromptFileError, OSError, ValueError):  # a text that is no file's name
        return None
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest() if files else None
