"""`suites list | show | validate`: held-out suites, shipped, public and anyone's own."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from superalign.cli.format import clean, counts, table, width
from superalign.cli.options import Json, group
from superalign.errors import PromptFileError
from superalign.evaluation.items import Suite, expected
from superalign.evaluation.load_suites import find_suite, kind_and_source, load_suite, locate, parse_source
from superalign.evaluation.options import EvaluationOptions
from superalign.evaluation.public_suites import FOLDER, PUBLIC, data_folder, local_file
from superalign.files.find import prompt_path

SHOWN = 5
"""Prompts that `show` prints."""
SHOWN_CHARS = 300
"""Longest prompt that it prints whole."""


app = group("Held-out suites, shipped, public and your own.")
DataFolder = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of public data sets.  [default: $SUPERALIGN_DATA]")
]


@app.command("list")
def list_suites(data: DataFolder = None, as_json: Json = False) -> None:
    """List every named suite, its kind, where its prompts are."""
    rows = [*_shipped(), *_public(data)]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    cells = [(row["name"], row["kind"], row["prompts"] or "", _about(row)) for row in rows]
    print("\n".join(table(("suite", "kind", "prompts", "what, and from where"), cells)))
    print(f"\nPublic ones: a file of that name in the folder that ${FOLDER} or --data names comes before the hub.")


@app.command("show")
def show_suite(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="[KIND:]NAME or [KIND:]FILE.", show_default=False)],
    data: DataFolder = None,
    as_json: Json = False,
) -> None:
    """Show what a suite holds: prompts, hazards, licence, source."""
    loaded, public = _load(suite, data), PUBLIC.get(kind_and_source(suite)[1].partition(":")[0])
    facts = _contents(loaded) | ({"licence": public.licence, "citation": public.citation} if public else {})
    if as_json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    print(_summary(facts))
    for label in ("licence", "citation"):
        if label in facts:
            print(f"{label}: {facts[label]}")
    if facts["hazards"]:
        print(textwrap.fill(f"hazards: {counts(facts['hazards'])}", width(), subsequent_indent="  "))
    for item in loaded.items[:SHOWN]:
        answer = f" -> {clean(expected(item.key))}" if item.key else ""
        text = clean(" / ".join(item.turns), SHOWN_CHARS) + answer
        print("\n".join(textwrap.wrap(text, width(), initial_indent="- ", subsequent_indent="  ")))


@app.command()
def validate(
    suites: Annotated[list[str], typer.Argument(metavar="SUITE...", help="[KIND:]FILE.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Report every fault of suite files, with file and line.

    The exit status is 1 if there is one.
    """
    contents: list[dict[str, Any]] = []
    faults: list[str] = []
    for spec in suites:
        try:
            contents.append(_contents(_load(spec, None)))
        except PromptFileError as error:
            faults += str(error).splitlines()
    if as_json:
        print(json.dumps({"found": contents, "faults": faults}, ensure_ascii=False))
        raise typer.Exit(int(bool(faults)))
    for facts in contents:
        print(_summary(facts))
    if faults:
        raise PromptFileError("\n".join(faults))


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


def _summary(facts: dict[str, Any]) -> str:
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
        local = local_file(name, folder)
        hub = next(form.hub for form in suite.forms if form.hub)
        where = str(local[1]) if local else f"hub:{hub}"
        row = {"name": name, "kind": suite.kind, "prompts": None, "about": suite.about, "where": where}
        rows.append(row | {"file": str(local[1]) if local else None, "licence": suite.licence})
    return rows
