"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file.", show_default=False)]
RunDir = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.", show_default=False)]
Overrides = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Set one field of the recipe.")]
Json = Annotated[bool, typer.Option("--json", help="Data as JSON on stdout, for programs.")]


def group(about: str) -> typer.Typer:
    """A group of commands with its help; typed alone, it shows it."""
    return typer.Typer(help=about, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def one_of(option: str, value: str, *allowed: str) -> str:
    """The value, which must be one of these; wrong usage otherwise."""
    if value not in allowed:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(allowed)}", param_hint=option)
    return value
