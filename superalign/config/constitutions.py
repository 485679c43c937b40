"""The versions of the constitution that a recipe names, and the held-out requests that test them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from superalign.config.recipe import Recipe
from superalign.critic.checks.critic import checks_of
from superalign.critic.constitution import Constitution, load_constitution
from superalign.critic.options import ChecksOptions, CriticOptions
from superalign.errors import RecipeError
from superalign.files.find import prompt_path
from superalign.values.items import ValueItem, load_items


def load_versions(
    recipe: Recipe, base_dir: Path, critics: Sequence[CriticOptions]
) -> tuple[tuple[int, Constitution], ...]:
    """Every version of the constitution, with the round from which it holds.

    Raises RecipeError where two files call themselves the same version, or a `checks` critic has nothing to check.
    """
    versions = tuple((v.since, load_constitution(prompt_path(v.file, base_dir))) for v in recipe.constitution)
    told: dict[str, Constitution] = {}
    for named, (_, constitution) in zip(recipe.constitution, versions, strict=True):
        if told.setdefault(constitution.version, constitution) != constitution:
            what = f"{named.file}: another file calls itself version {constitution.version}, too"
            raise RecipeError(what, "give each version a `version` of its own")
        for critic in critics:
            if isinstance(critic, ChecksOptions) and not checks_of(critic, constitution):
                what = f"a critic of type checks has nothing to check by {named.file}"
                raise RecipeError(what, "give it `checks`, or the constitution's principles a `check`")
    return versions


def value_items(recipe: Recipe, versions: Sequence[tuple[int, Constitution]], base_dir: Path) -> tuple[ValueItem, ...]:
    """The held-out requests by principle; none where the recipe names none."""
    if recipe.values is None:
        return ()
    principles = {principle.id for _, version in versions for principle in version.principles}
    return load_items(prompt_path(recipe.values.items, base_dir), principles)


def described(since: int, constitution: Constitution) -> str:
    """A line for `--dry-run`."""
    start = f", from round {since}" if since > 1 else ""
    return f"constitution: {constitution.name} {constitution.version}, {len(constitution.principles)} principles{start}"
