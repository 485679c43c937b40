"""`suites list | show | validate`: held-out suites, shipped, public and anyone's own."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from superalign.cli.format import clean, counts, listed, width
from superalign.errors import PromptFileError
from superalign.evaluation.answer_keys import expected
from superalign.evaluation.items import Suite
from superalign.evaluation.load_suites import find_suite, kind_and_source, load_suite, locate, parse_source
from superalign.evaluation.options import EvaluationOptions
from superalign.evaluation.public_suites import FOLDER, PUBLIC, data_folder, local_file
from superalign.files.find import prompt_path

SHOWN = 5
"""Prompts that `show` prints ..."""
SHOWN_CHARS = 300
"""... and how much of each."""


def list_suites(data: Path | None, as_json: bool) -> None:
    """A line for each."""
    rows = [*_shipped(), *_public(data)]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = [(row["name"], row["kind"], row["prompts"] or "", _about(row)) for row in rows]
    print("\n".join(listed(("suite", "kind", "prompts", "what, and from where"), table)))
    print(f"\nPublic ones: a file of that name in the folder that ${FOLDER} or --data names comes before the hub.")


def show_suite(spec: str, data: Path | None, as_json: bool) -> None:
    """One suite; raises PromptFileError as loading it does."""
    suite, public = _load(spec, data), PUBLIC.get(kind_and_source(spec)[1].partition(":")[0])
    facts = _contents(suite) | ({"licence": public.licence, "citation": public.citation} if public else {})
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    print(_said(facts))
    for label in ("licence", "citation"):
        if label in facts:
            print(f"{label}: {facts[label]}")
    if facts["hazards"]:
        print(textwrap.fill(f"hazards: {counts(facts['hazards'])}", width(), subsequent_indent="  "))
    for item in suite.items[:SHOWN]:
        answer = f" -> {clean(expected(item.key))}" if item.key else ""
        said = clean(" / ".join(item.turns), SHOWN_CHARS) + answer
        print("\n".join(textwrap.wrap(said, width(), initial_indent="- ", subsequent_indent="  ")))


def validate(specs: Sequence[str], as_json: bool) -> int:
    """What each file holds; returns the exit status of JSON, and otherwise raises PromptFileError with all faults."""
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    for spec in specs:
        try:
            found.append(_contents(_load(spec, None)))
        except PromptFileError as error:
            faults += str(error).splitlines()
    if as_json:
        print(json.dumps({"found": found, "faults": faults}, ensure_ascii=False))
        return int(bool(faults))
    for facts in found:
        print(_said(facts))
    if faults:
        raise PromptFileError("\n".join(faults))
    return 0


def _load(spec: str, data: Path | None) -> Suite:
    kind, rest = kind_and_source(spec)
    options = EvaluationOptions(data=str(data) if data else None)
    return load_suite(*find_suite(parse_source(rest, kind=kind), options, Path.cwd()))


def _contents(suite: Suite) -> dict[str, Any]:
    hazards = Counter(item.hazard for item in suite.items if item.hazard)
    return {
        "name": suite.name, "kind": suite.kind, "prompts": len(suite.items), "file": suite.file,
        "conversations": sum(bool(item.earlier) for item in suite.items), "duplicates": list(suite.duplicates),
        "hazards": dict(sorted(hazards.items())), "sha256": suite.sha256,
    }  # fmt: skip


def _about(row: dict[str, Any]) -> str:
    return f"{row['about']}; {row['where']}" if row["where"] else str(row["about"])


def _said(facts: dict[str, Any]) -> str:
    talks = f", {facts['conversations']} of them conversations" if facts["conversations"] else ""
    again = f", {len(facts['duplicates'])} of them given twice" if facts["duplicates"] else ""
    return f"{facts['name']}: {facts['prompts']} {facts['kind']} prompts{talks}{again} ({facts['file']})"


def _shipped() -> list[dict[str, Any]]:
    rows = []
    for path in sorted(prompt_path("suites").glob("*.yaml")):
        if path.stem != "plain_text":
            suite = _load(path.stem, None)
            row = {"name": path.stem, "kind": suite.kind, "prompts": len(suite.items)}
            rows.append(row | {"about": "shipped", "where": "", "file": str(locate(path.stem))})
    return rows


def _public(data: Path | None) -> list[dict[str, Any]]:
    rows = []
    folder = data_folder(str(data) if data else None, Path.cwd())
    for name, suite in PUBLIC.items():
        found = local_file(name, folder)
        hub = next(form.hub for form in suite.forms if form.hub)
        where = str(found[1]) if found else f"hub:{hub}"
        row = {"name": name, "kind": suite.kind, "prompts": None, "about": suite.about, "where": where}
        rows.append(row | {"file": str(found[1]) if found else None, "licence": suite.licence})
    return rows
