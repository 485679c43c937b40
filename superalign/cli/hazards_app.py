"""Declares `superalign hazards ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json
from superalign.cli.rounds_app import RunDir

app = typer.Typer(
    help="Hazards of your own, made from clusters of failures.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command("list")
def list_(
    path: Annotated[Path, typer.Argument(metavar="DIR|RECIPE", help="A run folder, or a recipe.", show_default=False)],
    as_json: Json = False,
) -> None:
    """List the hazards that a run or a recipe knows.

    Of a run also the emergent clusters, which no hazard covers.
    """
    from superalign.cli.hazards import list_hazards

    list_hazards(path, as_json)


@app.command()
def add(
    folder: RunDir,
    cluster: Annotated[str, typer.Option(metavar="ID", help="A cluster of failures, such as r001-2.")],
    name: Annotated[str, typer.Option(metavar="NAME", help="Small letters, digits and underscores.")],
    about: Annotated[str, typer.Option(metavar="TEXT", help="What it is, in a sentence.")] = "",
    as_json: Json = False,
) -> None:
    """Make a cluster of failures a hazard of your own.

    Also while the run is under way. From the next round on, failures near to its goals count as covered and bear its
    name. A recipe that names a copy of the run's hazards.jsonl as `hazards` begins with it.
    """
    from superalign.cli.hazards import add

    add(folder, cluster, name, about, as_json)
