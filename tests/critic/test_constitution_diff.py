"""Versions of a constitution: what differs, who asks for something else, and checks that principles bring along."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from superalign.config.inputs import load_versions
from superalign.config.recipe import Recipe, load_recipe
from superalign.critic.checks.critic import ChecksCritic
from superalign.critic.constitution import Constitution, Difference, Principle, difference
from superalign.critic.options import ChecksOptions
from superalign.errors import RecipeError
from superalign.records.exchange import Verdict
from tests.critic.toys import response

POLITE: dict[str, Any] = {"id": "polite", "text": "Be polite.", "check": {"must": "please", "tags": ["t"]}}
BRIEF: dict[str, Any] = {"id": "brief", "text": "Be brief.", "check": {"kind": "length", "max_words": 3}}
MEND = {"begin": "So:", "end": "please", "replace": {r"\bdamn ": ""}}


def version(label: str, *principles: dict[str, Any]) -> Constitution:
    return Constitution(version=label, name="n", principles=tuple(Principle.model_validate(p) for p in principles))


def changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[bool, bool, list[str]]:
    [change] = difference(version("1", before), version("2", after)).principles
    return change.moved, change.flipped, [field.field for field in change.fields]


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (POLITE | {"weight": 2.0}, (False, False, ["weight"])),
        (POLITE | {"text": "Be kind."}, (False, False, ["text"])),
        (POLITE | {"examples": ["Yes, please."]}, (False, False, ["examples"])),
        (POLITE | {"check": POLITE["check"] | {"mend": MEND}}, (False, False, ["check"])),
        (POLITE | {"check": {"must": "kindly", "tags": ["t"]}}, (True, False, ["check"])),
        (POLITE | {"check": {"must_not": "please", "tags": ["t"]}}, (True, True, ["check"])),
        (POLITE | {"check": {"must_not": "please"}}, (True, False, ["check"])),
        ({"id": "polite", "text": "Be rude."}, (True, False, ["text", "check"])),
    ],
)
def test_a_principle_moves_where_it_asks_for_something_else(
    after: dict[str, Any], found: tuple[bool, bool, list[str]]
) -> None:
    assert changes(POLITE, after) == found


def test_added_and_removed_principles_are_named() -> None:
    found: Difference = difference(version("1", POLITE), version("2", BRIEF))
    assert [(c.id, c.kind, c.moved) for c in found.principles] == [
        ("brief", "added", True),
        ("polite", "removed", True),
    ]
    assert found.moved == {"brief"}
    assert difference(version("1", POLITE), version("1", POLITE)).principles == ()


async def judged(reply: str, *tags: str, **options: Any) -> Verdict:
    mending = version("1", POLITE | {"check": POLITE["check"] | {"mend": MEND}}, BRIEF)
    critic = ChecksCritic(ChecksOptions.model_validate(options), mending, {})
    return (await critic.critique(response(reply, intent="benign", tags=tags))).verdict


async def test_principles_bring_their_checks_and_hold_by_tag() -> None:
    assert [p.id for p in (await judged("a b c d")).principles] == ["brief"]
    both = await judged("damn good", "t")
    assert [(p.id, p.score) for p in both.principles] == [("polite", 0.0), ("brief", 1.0)]
    assert both.better == "So: good please"


async def test_without_a_way_to_mend_all_there_is_no_better_answer() -> None:
    assert (await judged("damn good old days", "t")).better is None


async def test_a_check_of_the_recipe_replaces_the_principles_own() -> None:
    own = {"id": "brief", "kind": "length", "max_words": 9}
    assert (await judged("a b c d", checks=[own])).score == 1.0


RECIPE = """\
name: t
model: m
critic: {type: checks}
judge: {type: rules}
evaluation: {}
values: {items: items.yaml}
constitution: [one.yaml, {file: two.yaml, since: 2}]
"""


def recipe(folder: Path, text: str, first: str = "1", second: str = "2") -> Recipe:
    (folder / "items.yaml").write_text("items: [{id: a, principle: brief, prompt: p}]")
    for name, label, words in (("one", first, 3), ("two", second, 4)):
        check = f"{{kind: length, max_words: {words}}}"
        (folder / f"{name}.yaml").write_text(
            f"version: '{label}'\nname: n\nprinciples: [{{id: brief, text: t, check: {check}}}]\n"
        )
    (folder / "my.yaml").write_text(text)
    return load_recipe(folder / "my.yaml")[0]


def test_versions_hold_from_their_rounds_on(tmp_path: Path) -> None:
    versions = load_versions(recipe(tmp_path, RECIPE), tmp_path, ())
    assert [(since, constitution.version) for since, constitution in versions] == [(1, "1"), (2, "2")]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("values: {items: items.yaml}\n", "", "name held-out items for it under `values`"),
        ("since: 2", "since: 1", r"hold since \[1, 1\]"),
        ("two.yaml, since", "three.yaml, since", "7: constitution.1: .*three.yaml"),
    ],
)
def test_faults_of_versions_are_faults_of_the_recipe(tmp_path: Path, old: str, new: str, reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        recipe(tmp_path, RECIPE.replace(old, new))


def test_two_files_cannot_be_one_version(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"two.yaml: another file calls itself version 1"):
        load_versions(recipe(tmp_path, RECIPE, second="1"), tmp_path, ())


def test_a_checks_critic_needs_something_to_check(tmp_path: Path) -> None:
    told = recipe(tmp_path, RECIPE)
    (tmp_path / "two.yaml").write_text("version: '2'\nname: n\nprinciples: [{id: brief, text: t}]\n")
    with pytest.raises(RecipeError, match=r"nothing to check by two.yaml; give it `checks`"):
        load_versions(told, tmp_path, [told.critic])
