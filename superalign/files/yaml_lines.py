"""Users' files: text, YAML that knows its lines, and faults that name file, line and hint."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from superalign.errors import PromptFileError

_Model = TypeVar("_Model", bound=BaseModel)
Loc = tuple[str | int, ...]  # where in a YAML document: ("seeds", 3, "goal")
MOST_NAMED = 24
"""The most names that `nearest` lists."""


@dataclass(frozen=True)
class Faults:
    """Collects faults, a line each, so that a person sees all of them at once."""

    lines: list[str] = field(default_factory=list)

    def add(self, path: Path, line: int, what: str, hint: str = "") -> None:
        """Note `path:line: what; hint`."""
        self.lines.append(f"{path}:{line}: {what}" + (f"; {hint}" if hint else ""))

    def add_invalid(self, path: Path, error: ValidationError, line_of: Callable[[Loc], int]) -> None:
        """Note pydantic's faults; `line_of` maps their locations to lines."""
        for item in error.errors():
            place = ".".join(map(str, item["loc"]))
            self.add(path, line_of(item["loc"]), f"{place}: {in_words(item)}" if place else in_words(item))

    def raise_if_any(self) -> None:
        """Raises PromptFileError with every fault noted so far."""
        if self.lines:
            raise PromptFileError("\n".join(self.lines))


@dataclass(frozen=True)
class Located:
    """A YAML document that remembers on which line each of its parts stands."""

    path: Path
    data: Any
    lines: Mapping[Loc, int]

    def line(self, loc: Loc) -> int:
        """The line of a part, or of the nearest part around it that is there."""
        return next((self.lines[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in self.lines), 1)


def fail(path: Path, line: int, what: str, hint: str = "") -> NoReturn:
    """Raises PromptFileError `path:line: what; hint`."""
    raise PromptFileError(f"{path}:{line}: {what}", hint)


def nearest(word: str, known: Collection[str]) -> str:
    """`did you mean ...?`, or what there is where nothing is close, `MOST_NAMED` of it."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    if close:
        return f"did you mean {close[0]}?"
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return "known: " + ", ".join(sorted(known)[:MOST_NAMED]) + more


def in_words(fault: ErrorDetails) -> str:
    """One of pydantic's faults, as a person would say it."""
    if fault["type"] == "union_tag_invalid":
        known = fault["ctx"]["expected_tags"].replace("'", "").split(", ")
        return f"type {fault['ctx']['tag']!r} is not known; {nearest(fault['ctx']['tag'], known)}"
    if fault["type"] == "union_tag_not_found":
        return "`type` is missing"
    if fault["type"] in ("model_type", "dict_type"):
        return "is to be a mapping, `field: value` a line"
    return fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")


def read_text(path: Path) -> str:
    """A UTF-8 file, not empty, with line feeds only; raises PromptFileError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PromptFileError(f"{path}: {error.strerror or error}", "check the path") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fail(path, raw[: error.start].count(b"\n") + 1, f"byte {raw[error.start]:#04x} is not UTF-8", "use UTF-8")
    if not text.strip():
        fail(path, 1, "the file is empty", "fill it or leave it out")
    return text.replace("\r\n", "\n")


def load_yaml_with_lines(path: Path, text: str | None = None, first_line: int = 1) -> Located:
    """Parse YAML (`text`, else the file); raises PromptFileError for a syntax fault or a key that stands twice."""
    text = read_text(path) if text is None else text
    try:
        root, data = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fail(path, (mark.line if mark else 0) + first_line, f"not YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        fail(path, first_line, f"not YAML: {error}")
    lines, faults, seen = dict[Loc, int](), Faults(), set[int]()

    def visit(node: yaml.Node, loc: Loc) -> None:
        lines.setdefault(loc, node.start_mark.line + first_line)
        if id(node) in seen:  # an alias: descending again would never end on a recursive document
            return
        seen.add(id(node))
        for index, child in enumerate(node.value if isinstance(node, yaml.CollectionNode) else ()):
            key, child = child if isinstance(node, yaml.MappingNode) else (None, child)
            here = (*loc, str(key.value) if key else index)
            if key and here in lines:
                faults.add(path, key.start_mark.line + first_line, f"{key.value} is given twice")
            lines[here] = (key or child).start_mark.line + first_line
            visit(child, here)

    if root is not None:
        visit(root, ())
    faults.raise_if_any()
    return Located(path, data, lines)


def validated(model: type[_Model], document: Located) -> _Model:
    """The document as a record; raises PromptFileError with every fault's line."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        (faults := Faults()).add_invalid(document.path, error, document.line)
        raise PromptFileError("\n".join(faults.lines)) from None
