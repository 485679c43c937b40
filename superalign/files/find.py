"""Where files lie: prompt files beside the recipe or among those that superalign ships, and the user's cache."""

from __future__ import annotations

import os
from pathlib import Path

from superalign.errors import PromptFileError

_PACKAGE = Path(__file__).parents[1]


def prompt_roots(base_dir: Path | None = None) -> list[Path]:
    """Where prompt files are looked for: the recipe's folder, its `prompts/`, then what superalign ships."""
    shipped = _PACKAGE / "_assets" / "prompts"  # in a wheel; in a checkout it does not exist
    own = [] if base_dir is None else [base_dir, base_dir / "prompts"]
    return [*own, shipped if shipped.is_dir() else _PACKAGE.parent / "prompts"]


def prompt_path(name: str | Path, base_dir: Path | None = None) -> Path:
    """The file or folder of that name; the recipe's folder wins over what is shipped."""
    roots = prompt_roots(base_dir)
    for root in roots:
        if (root / name).exists():  # an absolute name stays as it is
            return root / name
    raise PromptFileError(f"{name}: no such prompt file", f"looked in {', '.join(dict.fromkeys(map(str, roots)))}")


def shipped_recipes() -> dict[str, Path]:
    """The recipes that superalign ships, by name."""
    assets = _PACKAGE / "_assets" / "recipes"  # as in `prompt_roots`
    folder = assets if assets.is_dir() else _PACKAGE.parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def cache_home() -> Path:
    """`SUPERALIGN_HOME`, or else a folder of the user's cache (`XDG_CACHE_HOME`, ~/.cache)."""
    if home := os.environ.get("SUPERALIGN_HOME"):
        return Path(home).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "superalign"
