"""A critic that a command line names: by its kind, or by a YAML file with its options."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from superalign.critic.options import CriticOptions
from superalign.errors import PromptFileError
from superalign.files.find import prompt_path
from superalign.files.yaml_lines import Faults, Loc, load_yaml_with_lines

KINDS = tuple(get_args(part.model_fields["type"].annotation)[0] for part in get_args(get_args(CriticOptions)[0]))
"""Every kind's name."""
_CRITIC: TypeAdapter[CriticOptions] = TypeAdapter(CriticOptions)


def critic_given(name: str, base_dir: Path) -> CriticOptions:
    """The options of a kind that needs none, or of a file as it would stand under `critic:` in a recipe.

    base_dir: where a relative name starts. Raises PromptFileError with every fault in the file.
    """
    if name in KINDS:
        try:
            return _CRITIC.validate_python({"type": name})
        except ValidationError as error:
            missing = ", ".join(str(fault["loc"][-1]) for fault in error.errors())
            raise PromptFileError(f"{name} needs options ({missing})", "name a YAML file of them") from None
    document, faults = load_yaml_with_lines(prompt_path(name, base_dir)), Faults()

    def line(loc: Loc) -> int:
        kept: Loc = ()
        for part in loc:  # pydantic names the kinds of critics among the parts, the file does not
            kept = (*kept, part) if (*kept, part) in document.lines else kept
        return document.line(kept)

    try:
        return _CRITIC.validate_python(document.data)
    except ValidationError as error:
        faults.add_invalid(document.path, error, line)
        raise PromptFileError("\n".join(faults.lines)) from None
