"""What changed between two recipes, field by field."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from superalign.store.atomic import encode_json
from superalign.store.manifest import RunInputs

_ABSENT = object()


def plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    """As it would be read back from JSON: tuples become lists."""
    return dict(json.loads(encode_json(fields)))


def changed_fields(old: Mapping[str, Any], new: Mapping[str, Any], free: Sequence[str] = ()) -> list[str]:
    """`training.dpo.beta: 0.1 -> 0.2` for each field that differs, in the order of the old recipe."""
    before, after = _flat(old), _flat(new)
    changed = [path for path in {**before, **after} if before.get(path, _ABSENT) != after.get(path, _ABSENT)]
    return [
        f"{path}: {_show(before.get(path, _ABSENT))} -> {_show(after.get(path, _ABSENT))}"
        for path in changed
        if not any(path == top or path.startswith(f"{top}.") for top in free)
    ]


def changed_files(old: RunInputs, new: RunInputs) -> list[str]:
    """The prompt files, models and chat template that are others than when the run began."""
    lines = []
    for path in {**old.prompts, **new.prompts}:
        if path not in new.prompts:
            lines.append(f"{path}: no longer used")
        elif path not in old.prompts:
            lines.append(f"{path}: was not used before")
        elif old.prompts[path] != new.prompts[path]:
            lines.append(f"{path}: its content changed")
    known = {model.name: model for model in old.models}
    lines += [f"model {model.name}: its files changed" for model in new.models if known.get(model.name, model) != model]
    if old.chat_template_sha256 != new.chat_template_sha256:
        lines.append("the chat template changed")
    return lines


def _flat(value: object, path: str = "") -> dict[str, object]:
    items: list[tuple[str, object]]
    if isinstance(value, Mapping) and (value or not path):
        items = [(str(name), below) for name, below in value.items()]
    elif isinstance(value, list) and value:
        items = [(str(index), below) for index, below in enumerate(value)]
    else:
        return {path: value}
    leaves: dict[str, object] = {}
    for name, below in items:
        leaves |= _flat(below, f"{path}.{name}" if path else name)
    return leaves


def _show(value: object) -> str:
    return "(absent)" if value is _ABSENT else encode_json(value)
