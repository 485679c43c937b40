"""`attack`: the attack side of a recipe alone, against any model; nothing is trained and nothing measured beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json, Overrides, RecipeFile


def attack(
    recipe_path: RecipeFile,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder.  [default: runs/NAME-attack]")] = None,
    model: Annotated[str | None, typer.Option(metavar="M", help="Whom to attack, instead of the recipe's.")] = None,
    adapter: Annotated[Path | None, typer.Option(metavar="A", help="Folder of a LoRA adapter on it.")] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Only attack a model, and show what made it err.

    The attacks are those of a recipe's first round; nothing is trained. What is finished is not played again.
    """
    from superalign.api import start_resume
    from superalign.cli.format import command
    from superalign.cli.progress import watched
    from superalign.cli.show import print_run
    from superalign.config.recipe import load_recipe
    from superalign.report.page import write_report

    own_model = [f"model={json.dumps(model)}"] if model else []  # JSON is YAML, whatever a path holds
    recipe, text = load_recipe(recipe_path, [*(overrides or ()), *own_model])
    recipe = recipe.model_copy(update={"floor": None})  # nothing is trained on the critic's word
    base_dir, path = recipe_path.resolve().parent, out or Path("runs") / f"{recipe.name}-attack"
    words: list[str | Path] = [recipe_path, "--out", path]
    words += ["--model", model] if model else []
    words += ["--adapter", adapter] if adapter else []
    words += [word for override in overrides or () for word in ("--set", override)]
    with start_resume.opened_for_attack(recipe, text, base_dir, path, adapter) as folder:
        if not folder.round(1).attack_json.exists():
            watched(
                lambda observer: start_resume.attack(recipe, base_dir, folder, adapter, observer),
                round=1,
                resume=command("attack", *words),
                loading=recipe.model,
            )
        write_report(folder, folder.report)
        print_run(folder, as_json=as_json, full=True)
