"""`constitution show | diff`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from superalign.cli.format import clean, width
from superalign.critic.constitution import Constitution, Principle, load_constitution
from superalign.critic.constitution_diff import Difference, PrincipleChange, difference
from superalign.files.find import prompt_path

MARKS = {"added": "+", "removed": "-", "changed": "~"}


def show(path: str, as_json: bool) -> None:
    """Every principle with its weight, its hazard and what a program checks of it."""
    constitution = _load(path)
    if as_json:
        print(json.dumps(constitution.model_dump(mode="json"), ensure_ascii=False))
        return
    print(f"{clean(constitution.name)}, version {clean(constitution.version)}")
    print("\n".join(line for principle in constitution.principles for line in _principle(principle)))
    for variant in constitution.variants:
        where = ", ".join((*variant.languages, *variant.tags))
        print(f"variant {clean(variant.name)} ({clean(where)}): {len(variant.principles)} principles of its own")


def diff(before: str, after: str, as_json: bool) -> None:
    """A mark for each principle that differs, and its fields before and after."""
    found = difference(_load(before), _load(after))
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), ensure_ascii=False))
        return
    print("\n".join(_difference(found)))


def _difference(found: Difference) -> Iterator[str]:
    yield f"version {clean(found.before)} -> {clean(found.after)}"
    for change in found.principles:
        yield f"{MARKS[change.kind]} {clean(change.id)}: {_in_words(change)}"
        for field in change.fields:
            yield from _wrapped(f"    {field.field}  was  ", _text(field.before))
            yield from _wrapped(f"    {' ' * len(field.field)}  is   ", _text(field.after))
    yield from (f"~ variant {clean(name)}" for name in found.variants)
    if not found.principles and not found.variants:
        yield "nothing differs"


def _in_words(change: PrincipleChange) -> str:
    if change.kind != "changed":
        return change.kind
    if change.flipped:
        return "flipped: it asks for the opposite"
    return "changed: it asks for something else" if change.moved else "changed, and asks the same"


def _principle(principle: Principle) -> Iterator[str]:
    yield f"{clean(principle.id)} (weight {principle.weight:g}, {principle.hazard or 'no hazard'})"
    yield from _wrapped("    ", principle.text)
    if principle.check is not None:
        check = principle.check.model_dump(mode="json", exclude_defaults=True, exclude={"id"})
        yield from _wrapped("    checked by  ", _text({"kind": principle.check.kind} | check))


def _wrapped(head: str, text: str) -> list[str]:
    lines = textwrap.wrap(clean(text), max(20, width() - len(head))) or ["-"]
    return [head + lines[0], *(" " * len(head) + line for line in lines[1:])]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_told(value), ensure_ascii=False)


def _told(value: Any) -> Any:
    """Without what is not set."""
    if isinstance(value, dict):
        return {name: _told(part) for name, part in value.items() if part not in (None, "", {}, [])}
    return value


def _load(path: str) -> Constitution:
    return load_constitution(prompt_path(path, Path.cwd()))
