"""An engine that a command line names: by its kind, or by a YAML file with its options."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from superalign.files.find import prompt_path
from superalign.files.yaml_lines import Faults, Loc, load_yaml_with_lines
from superalign.pool.choice import PoolOptions

_POOL: TypeAdapter[PoolOptions] = TypeAdapter(PoolOptions)


def pool_given(name: str, base_dir: Path) -> PoolOptions:
    """The options of `auto`, `vllm` or `transformers`, or of a file as it would stand under `pool:` in a recipe.

    base_dir: where a relative name starts. Raises PromptFileError with every fault in the file.
    """
    if not name.endswith((".yaml", ".yml")):
        return _POOL.validate_python({"type": name})
    document, faults = load_yaml_with_lines(prompt_path(name, base_dir)), Faults()

    def line(loc: Loc) -> int:
        return document.line(loc[1:])  # pydantic names the kind first, the file does not

    try:
        return _POOL.validate_python(document.data)
    except ValidationError as error:
        faults.add_invalid(document.path, error, line)
        faults.raise_if_any()
        raise
