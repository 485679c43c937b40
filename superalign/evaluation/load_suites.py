"""Held-out suites: files of prompts -> Suite, files of passages -> PlainText."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

from superalign.errors import PromptFileError
from superalign.evaluation.items import Passage, PlainText, Suite, SuiteItem
from superalign.evaluation.options import EvaluationOptions, SuiteSource
from superalign.evaluation.public_suites import PUBLIC, data_folder, fetch
from superalign.evaluation.row_to_item import foreign_item, own_item
from superalign.files.find import prompt_path
from superalign.files.hashes import sha256_file
from superalign.files.tables import Layout, Row, chosen, read_table, record_of
from superalign.files.yaml_lines import Faults, nearest, read_text
from superalign.records.base import SuiteKind

SAMPLE_SEED = 7
"""Seed of the sample that `limit` draws: the same prompts whichever model is measured."""
_LAYOUT = Layout("items", text="prompt", beside=("suite", "kind", "about", "source", "license"))


def parse_source(spec: str, *, kind: SuiteKind | None = None, where: Iterable[str] = ()) -> SuiteSource:
    """`FILE` or `NAME=FILE[:n]`, and filters like `kind==standard` or `label!=unsafe`, as a command line gives them."""
    parts = re.fullmatch(r"(?:([^=/\\]+)=)?([^=].*?)(?::([1-9]\d*))?", spec)
    if not parts or parts[2].endswith((":0", "=")):
        raise PromptFileError(f"{spec}: not a suite", "write NAME=FILE or NAME=FILE:n, with n of at least 1")
    filters: dict[str, str] = {}
    for text in where:
        condition = re.fullmatch(r"\s*([^=!\s]+)\s*(==?|!=)\s*[\"']?(.*?)[\"']?\s*", text)
        if not condition:
            raise PromptFileError(f"{text}: not a filter", "write column==value or column!=value")
        filters[condition[1]] = ("!" if condition[2] == "!=" else "") + condition[3]
    limit = int(parts[3]) if parts[3] else None
    return SuiteSource(file=parts[2], name=parts[1], kind=kind, where=filters, limit=limit)


def kind_and_source(spec: str) -> tuple[SuiteKind | None, str]:
    """`KIND:REST` taken apart, else None and all of it: `harmful:5` is the suite of that name and a limit."""
    kind, colon, rest = spec.partition(":")
    names_kind = colon and kind in get_args(SuiteKind) and not re.fullmatch(r"\d*", rest)
    return (cast("SuiteKind", kind), rest) if names_kind else (None, spec)


def load_suites(
    options: EvaluationOptions, base_dir: Path | None = None, place: Callable[[int], str] = lambda index: ""
) -> tuple[list[Suite], PlainText | None]:
    """Everything a recipe's evaluation names; `base_dir` is the recipe's folder.

    place: index of a suite -> where the recipe names it, `file:line: ` or empty. Raises PromptFileError with file and
    line.
    """
    suites: list[Suite] = []
    for index, entry in enumerate(options.suites):
        source = SuiteSource(file=entry) if isinstance(entry, str) else entry
        try:
            source_and_file = find_suite(source, options, base_dir)
        except PromptFileError as error:
            raise PromptFileError(place(index) + error.what, error.hint) from None
        suite = load_suite(*source_and_file, limit=options.limit)
        twin = next((other for other in suites if other.name == suite.name), None)
        if twin:
            hint = "give one of them another `name`"
            raise PromptFileError(f"{suite.file}: suite {suite.name} has the name of {twin.file}", hint)
        suites.append(suite)
    plain = load_plain_text(locate(options.plain_text, base_dir)) if options.plain_text else None
    return suites, plain


def find_suite(source: SuiteSource, options: EvaluationOptions, base_dir: Path | None) -> tuple[SuiteSource, Path]:
    """A source and its file; one that names a public suite is completed. Raises PromptFileError for what is nowhere."""
    try:
        return source, locate(source.file, base_dir)
    except PromptFileError:
        if source.file not in PUBLIC:
            raise
    return fetch(source, data_folder(options.data, base_dir))


def locate(spec: str, base_dir: Path | None = None) -> Path:
    """A file by its path, or the suite `suites/SPEC.yaml` of the prompt folders; raises PromptFileError if neither."""
    for name in (Path(spec).expanduser(), Path("suites", f"{spec}.yaml")):
        try:
            path = prompt_path(name, base_dir)
        except PromptFileError:
            continue
        if path.is_file():
            return path
    try:
        built_in = [file.stem for file in sorted(prompt_path("suites", base_dir).glob("*.yaml"))]
    except PromptFileError:
        built_in = []
    if Path(spec).is_dir():
        raise PromptFileError(f"{spec}: is a folder", "name a file of prompts in it")
    what = "file" if re.search(r"[/\\]|\.\w+$", spec) else "suite"
    hint = nearest(spec, [*built_in, *PUBLIC]) if built_in and what == "suite" else "name an existing file"
    raise PromptFileError(f"{spec}: no such {what}", hint)


def load_suite(source: SuiteSource, path: Path, *, limit: int | None = None) -> Suite:
    """One suite; raises PromptFileError with every faulty line of its file."""
    faults = Faults()
    table = read_table(path, faults, _LAYOUT)
    head = table.head or {}
    if (kind_in_file := head.get("kind")) not in (None, *get_args(SuiteKind)) and table.document:
        hint = nearest(str(kind_in_file), get_args(SuiteKind))
        faults.add(path, table.document.line(("kind",)), f"unknown kind {kind_in_file}", hint)
        kind_in_file = None
    named: SuiteKind | None = source.kind or kind_in_file
    rows = chosen(table.rows, path, faults, columns=source.columns, where=source.where)
    read_row = own_item if table.head is not None else foreign_item
    pairs = [pair for row in rows if (pair := read_row(row, named, path, faults))]
    kind: SuiteKind = named or (pairs[0][1] if pairs else "ordinary")
    ids: dict[str, int] = {}
    asked: dict[tuple[str, ...], SuiteItem] = {}
    duplicates: list[str] = []
    for item, own_kind in pairs:
        if not named and own_kind != kind:
            what = f"{own_kind}, but line {pairs[0][0].line} is {kind}"
            faults.add(path, item.line, what, "split the file, or filter it with `where`")
        if item.id in ids:
            faults.add(path, item.line, f"id {item.id} stands on line {ids[item.id]} already")
        twin = asked.setdefault(tuple(" ".join(turn.lower().split()) for turn in item.turns), item)
        if twin is not item and table.head is not None:
            faults.add(path, item.line, f"{item.id} repeats the prompt of {twin.id} on line {twin.line}")
        elif twin is not item:
            duplicates.append(item.id)
        ids.setdefault(item.id, item.line)
    faults.raise_if_any()
    items = [item for item, _ in pairs if not source.max_chars or max(map(len, item.turns)) < source.max_chars]
    if not items:
        hint = "loosen `where` or `max_chars`, or name another file"
        raise PromptFileError(f"{path}: no prompt left", hint if table.rows else "it holds none; name another file")
    wanted = source.limit or limit
    if wanted and wanted < len(items):
        random.Random(SAMPLE_SEED).shuffle(items)
        items = items[:wanted]
    return Suite(
        name=source.name or str(head.get("suite", path.stem)), kind=kind, file=str(path), sha256=sha256_file(path),
        items=tuple(items), duplicates=tuple(duplicates),
    )  # fmt: skip


def load_plain_text(path: Path) -> PlainText:
    """Passages for perplexity: `items: [{id, text}]` in YAML, a `text` column, or paragraphs of a txt file."""
    name, passages = path.stem, []
    if path.suffix.lower() == ".txt":
        paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", read_text(path)) if part.strip()]
        passages = [Passage(id=f"{name}-{i}", text=text) for i, text in enumerate(paragraphs, 1)]
    else:
        faults = Faults()
        table = read_table(path, faults, replace(_LAYOUT, text="text"))
        if table.head is None:
            rows = [Row(row.line, {"id": f"line-{row.line}", "text": row.values.get("text")}) for row in table.rows]
        else:
            name, rows = str(table.head.get("suite", name)), list(table.rows)
        passages = [passage for row in rows if (passage := record_of(Passage, row, path, faults))]
        faults.raise_if_any()
    if not passages:
        raise PromptFileError(f"{path}: no passage", "write at least one paragraph of plain text")
    return PlainText(name=name, file=str(path), sha256=sha256_file(path), passages=tuple(passages))
