"""A critic named on the command line: its type, or a YAML file with its options."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from superalign.critic.options import CriticOptions
from superalign.errors import PromptFileError
from superalign.files.find import prompt_path
from superalign.files.yaml_lines import Faults, Loc, load_yaml_with_lines

KINDS = tuple(get_args(part.model_fields["type"].annotation)[0] for part in get_args(get_args(CriticOptions)[0]))
"""All types of critics."""
_CRITIC: TypeAdapter[CriticOptions] = TypeAdapter(CriticOptions)


def critic_given(name: str, base_dir: Path) -> CriticOptions:
    """Default options of the type `name`, or those in the file `name`, written as under `critic:` in a recipe.

    base_dir: folder of relative file names. Raises PromptFileError with every fault in the file.
    """
    if name in KINDS:
        try:
            return _CRITIC.validate_python({"type": name})
        except ValidationError as error:
            missing = ", ".join(str(fault["loc"][-1]) for fault in error.errors())
            raise PromptFileError(f"{name} needs options ({missing})", "name a YAML file of them") from None
    document, faults = load_yaml_with_lines(prompt_path(name, base_dir)), Faults()

    def line(loc: Loc) -> int:
        in_file: Loc = ()
        for part in loc:  # pydantic puts the types of critics among the parts, the file has no such level
            in_file = (*in_file, part) if (*in_file, part) in document.lines else in_file
        return document.line(in_file)

    try:
        return _CRITIC.validate_python(document.data)
    except ValidationError as error:
        faults.add_invalid(document.path, error, line)
        raise PromptFileError("\n".join(faults.lines)) from None
