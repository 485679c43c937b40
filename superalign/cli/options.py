"""What several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Data as JSON on stdout, for programs.")]


def one_of(option: str, value: str, *allowed: str) -> str:
    """The value, which must be one of these; wrong usage otherwise."""
    if value not in allowed:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(allowed)}", param_hint=option)
    return value
