"""`models list` and `models pull`."""

from __future__ import annotations

import dataclasses
import json

from superalign.cli.format import listed
from superalign.models import packaged as models


def list_models(as_json: bool) -> None:
    """Each known model: whether it is there, and what it is."""
    found = models.available()
    if as_json:
        print(json.dumps([dataclasses.asdict(model) | {"folder": str(model.folder)} for model in found]))
        return
    rows = [
        (
            model.name,
            "pulled" if model.pulled else "not pulled",
            f"{model.about} ({model.licence})" + (f"; {model.folder}" if model.pulled else ""),
        )
        for model in found
    ]
    print("\n".join(listed(("model", "state", "what, and where it lies"), rows)))
    print("\nAny other model is a hub id or a local folder; it needs no pulling.")


def pull(name: str) -> None:
    """Fetch one; its folder goes to stdout, the progress to stderr."""
    print(models.pull(name))
