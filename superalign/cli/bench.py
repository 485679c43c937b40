"""`bench`: measurements; each is a module with a `run`, whose parameters are its settings."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Any, get_type_hints

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from superalign.cli.exit import run_until_stopped
from superalign.cli.format import clean
from superalign.config.recipe import Recipe
from superalign.errors import RecipeError
from superalign.files.yaml_lines import nearest


def bench(module_name: str, settings: Sequence[str], as_json: bool) -> None:
    """Run the one of a module and print its figures; a setting is `NAME=VALUE`, a parameter of that bench's `run`."""
    module = importlib.import_module(module_name)
    try:
        result = module.run(**_settings(module.run, settings))
        if asyncio.iscoroutine(result):
            result = run_until_stopped(result)
    except ValidationError as error:
        if error.title != Recipe.__name__:
            raise
        raise RecipeError(f"these settings make no recipe: {'; '.join(_messages(error))}", "see --help") from None
    if isinstance(result, BaseModel):
        result = result.model_dump(mode="json")
    if as_json:
        print(json.dumps(result, default=str))
    elif result is not None:
        print("\n".join(_lines(result)))


def _settings(run: Any, settings: Sequence[str]) -> dict[str, Any]:
    known = [parameter for parameter in inspect.signature(run).parameters if parameter != "observer"]
    found, hints = {}, get_type_hints(run)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in known:
            raise RecipeError(f"--set {setting}: not a setting of this bench", nearest(name, known))
        try:
            found[name] = TypeAdapter(hints[name]).validate_python(yaml.safe_load(text))
        except (yaml.YAMLError, ValidationError) as error:
            what = f"--set {setting}: {'; '.join(_messages(error))}"
            raise RecipeError(what, f"{name} is {inspect.formatannotation(hints[name])}") from None
    return found


def _messages(error: yaml.YAMLError | ValidationError) -> list[str]:
    if isinstance(error, yaml.YAMLError):
        return ["no YAML: " + " ".join(str(error).split())]
    places = [(".".join(map(str, fault["loc"])), fault["msg"]) for fault in error.errors()]
    return [f"{place}: {message}" if place else message for place, message in places]


def _lines(result: object, name: str = "") -> list[str]:
    """Nested figures as `a.b  value`."""
    if isinstance(result, Mapping):
        return [line for key, value in result.items() for line in _lines(value, f"{name}.{key}" if name else str(key))]
    if isinstance(result, list | tuple) and any(isinstance(value, Mapping) for value in result):
        return [line for index, value in enumerate(result) for line in _lines(value, f"{name}.{index}")]
    figure = f"{result:.4g}" if isinstance(result, float) else clean(str(result))
    return [f"{name:<40}{figure}" if name else figure]
