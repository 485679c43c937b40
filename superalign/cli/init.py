"""`init`: a recipe with comments, and one file of each kind that it reads, in a new folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from superalign.errors import RecipeError

STARTER = Path(__file__).parent / "starter"


def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)],
    source: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="A copy of a recipe of `superalign recipes list`.")
    ] = None,
) -> None:
    """Make a recipe of your own to start from.

    With comments, seeds, look-alikes, an attack strategy and a held-out suite; with --from, a shipped recipe alone.
    """
    from superalign.cli.format import command
    from superalign.cli.recipes import SCHEMA, schema_text, shipped

    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name).strip("-.") or "mine"
    if source is None:
        paths = [path for path in sorted(STARTER.rglob("*")) if path.suffix in {".yaml", ".md"}]
        texts = {str(path.relative_to(STARTER)): path.read_text("utf-8").replace("@NAME@", name) for path in paths}
    else:
        text = shipped(source).read_text("utf-8")
        text = text.replace(f"recipes/{source}.yaml", "recipe.yaml")
        texts = {"recipe.yaml": re.sub(rf"^name: {re.escape(source)}$", f"name: {name}", text, flags=re.MULTILINE)}
    texts[SCHEMA] = schema_text()
    present = [str(folder / file) for file in texts if (folder / file).exists()]
    if folder.exists() and not folder.is_dir():
        present = [str(folder)]
    if present:
        raise RecipeError(f"{present[0]} exists already, and nothing is overwritten", "name another folder")
    try:
        for file, text in texts.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"{folder}: {error.strerror or error}", "name a folder that can be written to") from error
    print("\n".join(str(folder / file) for file in texts))
    print(f"\ncheck it  {command('run', folder / 'recipe.yaml', '--dry-run')}")
    print(f"run it    {command('run', folder / 'recipe.yaml')}")
