"""`--set a.b=value` of a command line, applied to a recipe's data."""

from __future__ import annotations

from typing import Any

import yaml

from superalign.errors import RecipeError
from superalign.files.yaml_lines import Loc


def apply_override(data: dict[str, Any], override: str) -> Loc:
    """Apply `a.b=value` (a YAML value) in place; returns its place. Raises RecipeError."""
    name, equals, text = override.partition("=")
    keys = tuple(name.strip().split("."))
    if not equals or not all(keys):
        raise RecipeError(f"--set {override}: not of the form a.b=value", "for example --set training.seed=3")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {override}: the value is not YAML ({error})", "quote it") from error
    inner: Any = data
    for at, key in enumerate(keys):
        if isinstance(inner, list) and not (key.isdigit() and int(key) < len(inner)):
            name = ".".join(keys[:at])
            hint = f"name one of them, such as {'.'.join((name, '0', *keys[at + key.isdigit() :]))}"
            raise RecipeError(f"--set {override}: {name} is a list of {len(inner)}", hint)
        if at == len(keys) - 1:
            break
        if isinstance(inner, list):
            inner = inner[int(key)]
            continue
        if not isinstance(inner, dict):
            raise RecipeError(f"--set {override}: {key} is inside a plain value", "name a field of the recipe")
        if inner.get(key) is None:
            inner[key] = {}
        inner = inner[key]
    if not isinstance(inner, dict | list):
        raise RecipeError(f"--set {override}: {keys[-2]} is a plain value", "name a field of the recipe")
    if isinstance(inner, list):
        inner[int(keys[-1])] = value
    else:
        inner[keys[-1]] = value
    return keys
