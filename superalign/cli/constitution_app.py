"""Declares `superalign constitution ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from superalign.cli.options import Json

app = typer.Typer(
    help="Constitutions: what one says, and what differs between two.", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def show(
    path: Annotated[str, typer.Argument(metavar="[FILE]", help="A file, or the name of a shipped one.")] = (
        "constitution.yaml"
    ),
    as_json: Json = False,
) -> None:
    """Show the principles of a constitution."""
    from superalign.cli.constitution import show

    show(path, as_json)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="The earlier version.", show_default=False)],
    after: Annotated[str, typer.Argument(metavar="B", help="The later one.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Show what differs between two versions.

    Principles added, removed and changed, field by field, and which of them ask for something else than before.
    """
    from superalign.cli.constitution import diff

    diff(before, after, as_json)
