"""Where prompt files lie: beside the recipe, or among those that superalign ships."""

from __future__ import annotations

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
