"""`recipe schema`, `recipes list` and `init --from`: what editors and people without a clone get."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from superalign.cli.init import STARTER
from superalign.cli.recipes import SCHEMA, schema_text
from tests.cli.toy import ROOT, superalign

FIRST_LINE = f"# yaml-language-server: $schema={SCHEMA}"
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def test_the_committed_schema_is_what_the_command_prints() -> None:
    assert (ROOT / "recipes" / SCHEMA).read_text("utf-8") == schema_text(), (
        f"superalign recipe schema > recipes/{SCHEMA}"
    )


@pytest.mark.parametrize("path", [*RECIPES, STARTER / "recipe.yaml"], ids=lambda path: path.stem)
def test_every_recipe_names_the_schema_and_keeps_it(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.splitlines()[0] == FIRST_LINE
    jsonschema.validate(yaml.safe_load(text), json.loads(schema_text()))


def test_the_schema_finds_a_wrong_key() -> None:
    recipe = yaml.safe_load((ROOT / "recipes/tiny.yaml").read_text("utf-8")) | {"rouns": 2}
    with pytest.raises(jsonschema.ValidationError, match="rouns"):
        jsonschema.validate(recipe, json.loads(schema_text()))


def test_init_from_a_shipped_recipe(tmp_path: Path) -> None:
    names = [row["name"] for row in json.loads(superalign("recipes", "list", "--json").stdout)]
    assert names == [path.stem for path in RECIPES]
    done = superalign("init", str(tmp_path / "mine"), "--from", "tiny")
    assert done.returncode == 0, done.stderr
    data, shipped = (yaml.safe_load(path.read_text("utf-8")) for path in (tmp_path / "mine/recipe.yaml", RECIPES[5]))
    assert data == shipped | {"name": "mine"}
    assert (tmp_path / "mine" / SCHEMA).read_text("utf-8") == schema_text()
    wrong = superalign("init", str(tmp_path / "other"), "--from", "tniy")
    assert (wrong.returncode, "no shipped recipe; did you mean tiny?" in wrong.stderr) == (1, True), wrong.stderr
