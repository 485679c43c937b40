"""`bench`: measurements; each is a module with a `run`, whose parameters are its settings."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_type_hints

import typer
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from superalign.cli.format import clean
from superalign.cli.options import Json, one_of
from superalign.cli.progress import run_until_stopped
from superalign.errors import RecipeError
from superalign.files.yaml_lines import nearest

BENCHES = ("pool", "train", "loop")


def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(BENCHES)}.", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A=B", help="One of its settings; a wrong one names them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure speed and memory of this machine.

    pool, train, loop: each against a baseline in the same run. What the documents' other tables came from is
    `python -m benchmarks` in a clone.
    """
    print_bench(f"superalign.bench.{one_of('NAME', name, *BENCHES)}", settings or [], as_json)


def print_bench(module_name: str, settings: Sequence[str], as_json: bool) -> None:
    """Run the one of a module and print its figures; a setting is `NAME=VALUE`, a parameter of that bench's `run`."""
    module = importlib.import_module(module_name)
    try:
        result = module.run(**_settings(module.run, settings))
        if asyncio.iscoroutine(result):
            result = run_until_stopped(result)
    except ValidationError as error:
        if error.title != "Recipe":
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
    values, hints = {}, get_type_hints(run)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or name not in known:
            raise RecipeError(f"--set {setting}: not a setting of this bench", nearest(name, known))
        try:
            values[name] = TypeAdapter(hints[name]).validate_python(yaml.safe_load(text))
        except (yaml.YAMLError, ValidationError) as error:
            fault = f"--set {setting}: {'; '.join(_messages(error))}"
            raise RecipeError(fault, f"{name} is {inspect.formatannotation(hints[name])}") from None
    return values


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
