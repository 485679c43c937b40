"""Declares `superalign suites ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json

app = typer.Typer(help="Held-out suites, shipped, public and your own.", no_args_is_help=True, rich_markup_mode=None)
Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of public data sets.  [default: $SUPERALIGN_DATA]")
]


@app.command("list")
def suites_list(data: Data = None, as_json: Json = False) -> None:
    """Every suite with a name, its kind, where its prompts are."""
    from superalign.cli.suites import list_suites

    list_suites(data, as_json)


@app.command("show")
def suites_show(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="[KIND:]NAME or [KIND:]FILE.", show_default=False)],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """What a suite holds: prompts, hazards, licence, source."""
    from superalign.cli.suites import show_suite

    show_suite(suite, data, as_json)


@app.command("validate")
def suites_validate(
    suites: Annotated[list[str], typer.Argument(metavar="SUITE...", help="[KIND:]FILE.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Report every fault of suite files, with file and line."""
    from superalign.cli.suites import validate

    raise typer.Exit(validate(suites, as_json))
