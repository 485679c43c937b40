"""`attack`: the attack side of a recipe alone, against any model; nothing is trained and nothing measured beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from superalign.api import start_resume
from superalign.cli.format import command
from superalign.cli.progress import watched
from superalign.cli.show import print_run
from superalign.config.recipe import load_recipe


def attack(
    recipe_path: Path,
    out: Path | None,
    model: str | None,
    adapter: Path | None,
    overrides: Sequence[str],
    as_json: bool,
) -> None:
    """Play round 1's rollouts against a model, into a folder like a run's; what is finished is not played again."""
    named = [f"model={json.dumps(model)}"] if model else []  # JSON is YAML, whatever a path holds
    recipe, text = load_recipe(recipe_path, [*overrides, *named])
    recipe = recipe.model_copy(update={"floor": None})  # nothing is trained on the critic's word
    base_dir, path = recipe_path.resolve().parent, out or Path("runs") / f"{recipe.name}-attack"
    words: list[str | Path] = [recipe_path, "--out", path]
    words += ["--model", model] if model else []
    words += ["--adapter", adapter] if adapter else []
    words += [word for override in overrides for word in ("--set", override)]
    with start_resume.opened_for_attack(recipe, text, base_dir, path, adapter) as folder:
        if not folder.round(1).attack_json.exists():
            watched(
                lambda observer: start_resume.attack(recipe, base_dir, folder, adapter, observer),
                round=1,
                resume=command("attack", *words),
            )
        print_run(folder, as_json)
