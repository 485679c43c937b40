"""`init`: a recipe with comments, and one file of each kind that it reads, in a new folder."""

from __future__ import annotations

import re
from pathlib import Path

from superalign.cli.format import command
from superalign.errors import RecipeError

STARTER = Path(__file__).parent / "starter"


def init(folder: Path) -> None:
    """Write the starter files; raises RecipeError when one of them is there already, and then writes none."""
    files = [path.relative_to(STARTER) for path in sorted(STARTER.rglob("*")) if path.suffix in {".yaml", ".md"}]
    there = [str(folder / name) for name in files if (folder / name).exists()]
    if folder.exists() and not folder.is_dir():
        there = [str(folder)]
    if there:
        raise RecipeError(f"{there[0]} exists already, and nothing is overwritten", "name another folder")
    name = re.sub(r"[^\w.-]+", "-", folder.resolve().name).strip("-.") or "mine"
    try:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            text = (STARTER / file).read_text(encoding="utf-8").replace("@NAME@", name)
            (folder / file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecipeError(f"{folder}: {error.strerror or error}", "name a folder that can be written to") from error
    print("\n".join(str(folder / file) for file in files))
    print(f"\ncheck it  {command('run', folder / 'recipe.yaml', '--dry-run')}")
    print(f"run it    {command('run', folder / 'recipe.yaml')}")
