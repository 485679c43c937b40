"""What pydantic finds wrong with a document, as `file:line: field: what`, in the words of the person who wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from superalign.files.yaml_lines import Loc, Located, in_words, nearest


def faults_of(
    model: type[BaseModel], error: ValidationError, document: Located, data: Any, from_command_line: dict[Loc, str]
) -> Iterator[tuple[int, str]]:
    """Line and words of every fault.

    data: the document with the command line's settings in it; from_command_line: place -> the setting as it was given.
    """
    errors = error.errors()
    for item in errors:
        if any(_is_another_form(item, other) for other in errors):
            continue
        loc, siblings = _in_document(item["loc"], data)
        what = in_words(item)
        if item["type"] == "extra_forbidden":
            fields = _fields_at(model, item["loc"][:-1])
            what = f"unknown key; {nearest(str(loc[-1]), fields)}" if fields else "unknown key"
        elif item["type"] == "missing":
            field = _fields_at(model, item["loc"][:-1]).get(str(loc[-1])) if loc else None
            what = "is missing" + (f"; given here: {', '.join(siblings)}" if siblings else "")
            what += f"; for example {', '.join(map(str, field.examples))}" if field and field.examples else ""
        elif not isinstance(item["input"], dict | list):
            what += f", not {item['input']!r}"
        place, own = tuple(map(str, loc)), loc in document.lines
        settings = from_command_line.items()
        # a place that the file does not have came with a setting of something inside it
        given = next((text for keys, text in settings if (keys if own else keys[: len(place)]) == place), None)
        line = document.line(loc)
        where = f"--set {given}" if given else f"{document.path}:{line}"
        yield line, f"{where}: {dotted(loc) or 'recipe'}: {what}"


def _is_another_form(item: ErrorDetails, other: ErrorDetails) -> bool:
    """Whether `item` only says that a mapping is not the plain form of a union, and `other` what is wrong inside it."""
    beside, deeper = item["loc"][:-1], other["loc"]
    plain = item["type"].endswith("_type") and isinstance(item["input"], dict) and bool(beside)
    return plain and deeper[: len(beside)] == beside and len(deeper) > len(beside) + 1


def _in_document(loc: Loc, data: Any) -> tuple[Loc, list[str]]:
    """pydantic's location without the tags of unions, and the keys beside its last part."""
    kept: list[str | int] = []
    inner = data
    for index, part in enumerate(loc):
        there = (isinstance(inner, dict) and part in inner) or (
            isinstance(inner, list) and isinstance(part, int) and part < len(inner)
        )
        if there:
            kept.append(part)
            inner = inner[part]
        elif index == len(loc) - 1 and isinstance(inner, dict):
            kept.append(part)
    return tuple(kept), [str(key) for key in inner] if isinstance(inner, dict) else []


def _fields_at(root: type[BaseModel], loc: Loc) -> dict[str, FieldInfo]:
    """The fields of the model at pydantic's location, tags of unions included."""
    models: list[type[BaseModel]] = [root]
    for part in loc:
        if isinstance(part, int):
            continue
        inner: list[type[BaseModel]] = []
        for model in models:
            if part in model.model_fields:
                inner += _models_in(model.model_fields[str(part)].annotation)
            elif _tag(model) == part:
                inner.append(model)
        models = inner or models
    return {name: field for model in models for name, field in model.model_fields.items()}


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models_in(inner)]


def _tag(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("type")
    return field.default if field else None


def dotted(loc: Loc) -> str:
    """`training.dpo.beta`."""
    return ".".join(map(str, loc))
