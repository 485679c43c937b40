"""Files of other red-teaming tools, as they are: garak's payloads, PyRIT's seed prompts and jailbreak templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from superalign.attacker.seeds.row_to_seed import Content, Entry, Template
from superalign.attacker.seeds.taxonomy import hazard_of
from superalign.files.yaml_lines import Faults, Located

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_PROMPT = re.compile(r"\bprompt\b")


def is_garak(data: Any) -> bool:
    """Whether a JSON document is one of garak's payload files."""
    return isinstance(data, dict) and "garak_payload_name" in data


def garak(document: Located, faults: Faults) -> Content:
    """A seed for each payload; a file that names an `intent` of garak's (a code of what is wrong) is harmful."""
    data, payloads = document.data, document.data.get("payloads")
    if not isinstance(payloads, list) or not all(isinstance(payload, str) for payload in payloads):
        faults.add(document.path, 1, "`payloads` is no list of texts")
        return Content(foreign=True)
    language = data.get("lang")
    guess = {
        "intent": "harmful" if data.get("intent") else None,
        "language": language if language != "*" else None,
        "tags": [str(kind) for kind in data.get("payload_types", [])],
    }
    lines = [document.line(("payloads", index)) for index in range(len(payloads))]
    entries = [Entry(line, {"goal": payload}, guess=guess) for line, payload in zip(lines, payloads, strict=True)]
    return Content(entries, foreign=True)


def is_pyrit(data: Any) -> bool:
    """Whether a YAML document is one of PyRIT's: its texts stand under `value`."""
    return isinstance(data, dict) and ("value" in data or any("value" in row for row in _rows(data)))


def pyrit(document: Located) -> Content:
    """Seeds (a prompt group with several turns is one), or the document's one template with `goal` for `prompt`."""
    data, path = document.data, document.path
    if "value" in data:
        return _pyrit_template(document)
    key = "seeds" if "seeds" in data else "prompts"
    groups: dict[Any, list[tuple[int, dict[str, Any]]]] = {}
    for index, row in enumerate(_rows(data)):
        alias = row.get("prompt_group_alias", row.get("prompt_group_id", index))
        groups.setdefault(alias, []).append((document.line((key, index)), _inherited(row, data)))
    entries = [entry for rows in groups.values() if (entry := _pyrit_entry(rows))]
    left_out = len(groups) - len(entries)
    notices = [f"{path}: {left_out} of {len(groups)} seeds left out: they are more than text"] if left_out else []
    return Content(entries, foreign=True, notices=notices)


def _rows(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = data.get("seeds", data.get("prompts"))
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _inherited(row: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    shared = ("harm_categories", "data_type", "seed_type", "language")
    return {key: data[key] for key in shared if key in data} | dict(row)


def _pyrit_entry(rows: Sequence[tuple[int, dict[str, Any]]]) -> Entry | None:
    """The seed of a prompt group; None: a part of it is no text."""
    if any(row.get("data_type", "text") != "text" or not isinstance(row.get("value"), str) for _, row in rows):
        return None
    ordered = sorted(rows, key=lambda item: item[1].get("sequence") or 0)
    objectives = [row["value"].strip() for _, row in ordered if row.get("seed_type") == "objective"]
    users = [
        row["value"].strip() for _, row in ordered
        if row.get("role", "user") == "user" and row.get("seed_type") != "objective"
    ]  # fmt: skip
    goal = (objectives or users or [""])[-1]
    values: dict[str, Any] = {"goal": goal}
    if users and (len(users) > 1 or users[-1] != goal):
        values["turns"] = users
    line, first = rows[0]
    categories = _texts(first.get("harm_categories"))
    guess = {
        "intent": "harmful" if categories else None,
        "hazard": next((hazard for category in categories if (hazard := hazard_of(category))), None),
        "tags": categories,
    }
    return Entry(line, values, guess=guess)


def _pyrit_template(document: Located) -> Content:
    data, path = document.data, document.path
    text, parameters = data["value"], _texts(data.get("parameters"))
    if not isinstance(text, str) or data.get("data_type", "text") != "text":
        return Content(foreign=True, notices=[f"{path}: left out: it is more than text"])
    if not parameters:
        entry = _pyrit_entry([(document.line(()), data)])
        return Content([entry] if entry else [], foreign=True)
    if parameters != ["prompt"]:
        others = ", ".join(name for name in parameters if name != "prompt")
        return Content(foreign=True, notices=[f"{path}: left out: it needs {others}, and a goal is all there is"])
    ours = _JINJA.sub(lambda slot: _PROMPT.sub("goal", slot[0]), text)
    line = document.line(("value",)) + ("\n" in text)
    meta = {"description": str(data.get("description") or data.get("name") or ""), "style": "framing"}
    return Content(templates=[Template(path.stem, ours, line, meta)], foreign=True)


def _texts(value: Any) -> list[str]:
    """A list of texts, of which PyRIT lets one stand alone."""
    if isinstance(value, str):
        return [value]
    return [str(item) for item in value] if isinstance(value, list) else []
