"""Recipes: every fault at once, with file, line, field and cure; and every shipped recipe parses."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pytest
import yaml
from hypothesis import given, settings

from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe, load_recipe
from superalign.errors import RecipeError, SuperalignError
from superalign.files.find import prompt_path

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
MINIMAL = """\
name: tiny
model: smollm2-135m
critic: {type: probe}
judge: {type: rules}
evaluation: {suites: [harmful]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "my.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(folder, text), overrides)
    return [line.removeprefix(f"{folder / 'my.yaml'}:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.name)
def test_every_shipped_recipe_parses(path: Path) -> None:
    recipe, text = load_recipe(path)
    assert recipe.rounds >= 1
    assert text.startswith("#"), "a recipe says its command and its needs on top"


def test_there_are_recipes_for_every_size_of_machine() -> None:
    assert {"quickstart.yaml", "tiny.yaml", "gpu-24gb.yaml", "gpu-80gb.yaml"} <= {path.name for path in RECIPES}


def test_every_fault_is_named_at_once_with_line_field_and_cure(tmp_path: Path) -> None:
    text = MINIMAL + "rounds: 0\nlearner:\n  num_anwsers: 2\n  temperature: hot\ntraining:\n  sft: {epochs: -1}\n"
    assert faults(tmp_path, text) == [
        "6: rounds: must be greater than or equal to 1, not 0",
        "8: learner.num_anwsers: unknown key; did you mean num_answers?",
        "9: learner.temperature: must be a valid number, unable to parse string as a number, not 'hot'",
        "11: training.sft.epochs: must be greater than 0, not -1",
    ]


def test_an_unknown_key_inside_a_union_suggests_that_members_fields(tmp_path: Path) -> None:
    text = MINIMAL.replace("{type: probe}", "{type: probe, labeled: x.yaml}")
    assert faults(tmp_path, text) == ["3: critic.labeled: unknown key; did you mean labelled?"]


def test_the_critic_may_not_be_its_own_judge_unless_told_so(tmp_path: Path) -> None:
    text = MINIMAL.replace("{type: probe}", "{type: rules}")
    assert faults(tmp_path, text) == [
        "1: recipe: judge is the critic itself; name another judge, or set allow_same_judge: true"
    ]
    recipe, _ = load_recipe(write(tmp_path, text + "allow_same_judge: true\n"))
    assert recipe.allow_same_judge


def test_a_file_that_is_not_there_is_named_with_its_line(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, MINIMAL + "experts: nobody.yaml\n")
    assert fault.startswith("6: experts: nobody.yaml: no such prompt file; looked in ")


def test_overrides_are_yaml_and_reach_into_lists(tmp_path: Path) -> None:
    text = MINIMAL + "training:\n  - {method: sft}\n  - {method: dpo}\n"
    overrides = ["training.1.dpo.beta=0.3", "rounds=5", "learner.system=[brackets]", "judge.trust_intent=false"]
    with pytest.raises(RecipeError, match=r"--set learner.system=\[brackets\]: learner.system: "):
        load_recipe(write(tmp_path, text), overrides)
    recipe, kept = load_recipe(write(tmp_path, text), [*overrides[:2], overrides[3]])
    assert (recipe.training_of(2).dpo.beta, recipe.rounds) == (0.3, 5)
    assert Recipe.model_validate(yaml.safe_load(kept)) == recipe


def test_a_key_that_only_the_command_line_has_is_its_fault(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--set trainning.sft.epochs=2: trainning: .*did you mean training"):
        load_recipe(write(tmp_path, MINIMAL), ["seed=3", "trainning.sft.epochs=2"])


@pytest.mark.parametrize("override", ["rounds", "=3", "name.x=3", "training.7.method=sft", "a..b=1"])
def test_an_override_that_names_nothing_is_an_error(tmp_path: Path, override: str) -> None:
    with pytest.raises(RecipeError, match="--set "):
        load_recipe(write(tmp_path, MINIMAL + "training:\n  - {method: sft}\n"), [override])


def test_a_setting_inside_a_list_is_shown_its_place(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"training is a list of 1; name one of them, such as training\.0\.dpo\.beta"):
        load_recipe(write(tmp_path, MINIMAL + "training:\n  - {method: sft}\n"), ["training.dpo.beta=0.2"])


def test_words_of_faults_are_a_persons(tmp_path: Path) -> None:
    text = MINIMAL.replace("name: ", "name: a/b # ").replace("{type: probe}", "{type: prob}")
    found = faults(tmp_path, text)
    assert any("name: must be a folder's name, without slashes" in line for line in found)
    assert any("critic: type 'prob' is not known; did you mean probe?" in line for line in found)


def test_rounds_take_their_own_training_and_the_last_one_repeats(tmp_path: Path) -> None:
    recipe, _ = load_recipe(write(tmp_path, MINIMAL + "training: [{method: sft}, {method: dpo}]\n"))
    assert [recipe.training_of(n).method for n in (1, 2, 3)] == ["sft", "dpo", "dpo"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(key=st.sampled_from([*Recipe.model_fields, "unheard_of"]), value=json_values)
def test_whatever_stands_in_a_recipe_it_loads_or_names_its_fault(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    data = yaml.safe_load(MINIMAL) | {key: value}
    path = write(tmp_path_factory.mktemp("recipe"), yaml.safe_dump(data, allow_unicode=True))
    said = str(path)
    try:
        load_recipe(path)
    except SuperalignError as error:
        said = str(error)
    assert str(path) in said


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[harmful]", "[harmful, lookalikes]", "5: lookalikes: no such suite; did you mean lookalike?"),
        (
            "judge:",
            "attacker: {mix: {roleplai: 1}}\njudge:",
            "4: strategy roleplai is not known; did you mean roleplay?",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_said_with_its_line(tmp_path: Path, old: str, new: str, fault: str) -> None:
    path = write(tmp_path, MINIMAL.replace(old, new))
    with pytest.raises(SuperalignError) as caught:
        Inputs.load(load_recipe(path)[0], tmp_path)
    assert str(caught.value).startswith(f"{path}:{fault}")


def test_a_guard_without_a_template_names_those_that_ship(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, MINIMAL.replace("{type: probe}", "{type: guard}"))
    assert fault.startswith("3: critic.template: is missing")
    named = [name for name in fault.partition("for example ")[2].split(", ") if name]
    assert named
    assert all(prompt_path(name).is_file() for name in named)
