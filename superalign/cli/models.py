"""`models list` and `models pull`."""

from __future__ import annotations

import dataclasses
import json

from superalign import models


def list_models(as_json: bool) -> None:
    """Each known model: whether it is there, and what it is."""
    found = models.available()
    if as_json:
        print(json.dumps([dataclasses.asdict(model) | {"folder": str(model.folder)} for model in found]))
        return
    for model in found:
        state = "pulled" if model.pulled else "not pulled"
        print(f"{model.name:<14}{state:<12}{model.about} ({model.licence})")
        if model.pulled:
            print(f"{'':<26}{model.folder}")
    print("Any other model is a hub id or a local folder, named in the recipe; it needs no pulling.")


def pull(name: str) -> None:
    """Fetch one; its folder goes to stdout, the progress to stderr."""
    print(models.pull(name))
