"""`recipe schema` and `recipes list`: the form of a recipe, and the recipes that superalign ships."""

from __future__ import annotations

import json
from pathlib import Path

from superalign.cli.options import Json, group
from superalign.errors import RecipeError
from superalign.files.find import shipped_recipes

SCHEMA = "recipe.schema.json"
"""Its name beside a recipe, as the recipe's first line names it to editors."""

recipe = group("The form of a recipe, for editors.")
recipes = group("The recipes that superalign ships.")


@recipe.callback()
@recipes.callback()
def _root() -> None:
    pass  # with it, the one command keeps its name


@recipe.command()
def schema() -> None:
    """Print the JSON Schema of a recipe.

    Editors with a YAML language server complete and check a recipe that begins with
    `# yaml-language-server: $schema=recipe.schema.json`; `superalign init` writes both.
    """
    print(schema_text(), end="")


@recipes.command("list")
def list_(as_json: Json = False) -> None:
    """List the shipped recipes, and what each needs.

    `superalign init DIR --from NAME` copies one; `superalign run` also takes its path.
    """
    from superalign.cli.format import table

    rows = [{"name": path.stem, "file": str(path)} | _head(path) for path in shipped_recipes().values()]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    cells = [(row["name"], f"{row['about']} Needs: {row['needs']}") for row in rows]
    print("\n".join(table(("recipe", "what it does"), cells)))
    print("\nsuperalign init DIR --from NAME copies one; the files it names are shipped too.")


def schema_text() -> str:
    """The JSON Schema as it stands in `recipe.schema.json`."""
    from superalign.config.recipe import Recipe

    return json.dumps(Recipe.model_json_schema(), indent=1, ensure_ascii=False) + "\n"


def shipped(name: str) -> Path:
    """The file of a shipped recipe; raises RecipeError if there is none of that name."""
    from superalign.files.yaml_lines import nearest

    known = shipped_recipes()
    if name not in known:
        raise RecipeError(f"--from {name}: no shipped recipe", nearest(name, known))
    return known[name]


def _head(path: Path) -> dict[str, str]:
    """What the comment at the top says: the first sentence, and what stands after `Needs:`."""
    lines = []
    for line in path.read_text("utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith(("#   ", "# yaml-language-server")):
            lines.append(line.removeprefix("#").strip())
    about, _, needs = " ".join(lines).partition("Needs:")
    return {"about": about.strip(), "needs": needs.strip()}
