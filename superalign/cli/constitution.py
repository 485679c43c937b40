"""`constitution show | diff`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from superalign.cli.format import clean, labelled
from superalign.cli.options import Json, group
from superalign.critic.constitution import (
    Constitution,
    Difference,
    Principle,
    PrincipleChange,
    difference,
    load_constitution,
)
from superalign.files.find import prompt_path

MARKS = {"added": "+", "removed": "-", "changed": "~"}


app = group("Constitutions: what one says, and what differs between two.")


@app.command()
def show(
    path: Annotated[str, typer.Argument(metavar="[FILE]", help="A file, or the name of a shipped one.")] = (
        "constitution.yaml"
    ),
    as_json: Json = False,
) -> None:
    """Show the principles of a constitution.

    Each with its weight, its hazard and what a program checks of it.
    """
    constitution = _load(path)
    if as_json:
        print(json.dumps(constitution.model_dump(mode="json"), ensure_ascii=False))
        return
    print(f"{clean(constitution.name)}, version {clean(constitution.version)}")
    print("\n".join(line for principle in constitution.principles for line in _principle(principle)))
    for variant in constitution.variants:
        where = ", ".join((*variant.languages, *variant.tags))
        print(f"variant {clean(variant.name)} ({clean(where)}): {len(variant.principles)} principles of its own")


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="The earlier version.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="B", help="The later one.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show what differs between two versions.

    Principles added, removed and changed, field by field, and which of them ask for something else than before.
    """
    changes = difference(_load(before), _load(after))
    if as_json:
        print(json.dumps(changes.model_dump(mode="json"), ensure_ascii=False))
        return
    print("\n".join(_difference(changes)))


def _difference(changes: Difference) -> Iterator[str]:
    yield f"version {clean(changes.before)} -> {clean(changes.after)}"
    for change in changes.principles:
        yield f"{MARKS[change.kind]} {clean(change.id)}: {_in_words(change)}"
        for field in change.fields:
            yield from _wrapped(f"    {field.field}  was  ", _text(field.before))
            yield from _wrapped(f"    {' ' * len(field.field)}  is   ", _text(field.after))
    yield from (f"~ variant {clean(name)}" for name in changes.variants)
    if not changes.principles and not changes.variants:
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
    return labelled(head, clean(text) or "-", margin=len(head))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(_without_unset(value), ensure_ascii=False)


def _without_unset(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_unset(part) for name, part in value.items() if part not in (None, "", {}, [])}
    return value


def _load(path: str) -> Constitution:
    return load_constitution(prompt_path(path, Path.cwd()))
