"""Prompt files: front matter and a Jinja body; and YAML whose faults are reported with file and line.

A template is filled in the sandbox, so a stranger's file can neither reach the machine nor keep it busy; a slot it
does not know is an error at load.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, TypeVar, get_args

import jinja2
import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from superalign.errors import PromptFileError
from superalign.records import Message, Messages
from superalign.sandbox import TemplateFault, compiled, filled

_Model = TypeVar("_Model", bound=BaseModel)
Loc = tuple[str | int, ...]  # where in a YAML document: ("seeds", 3, "goal")
MOST_NAMED = 24
"""Of the names that might have been meant."""
_ROLES: tuple[str, ...] = get_args(Message.model_fields["role"].annotation)
_TURN = re.compile(r"^===[ \t]*(\w+)[ \t]*\n?", re.MULTILINE)


@dataclass(frozen=True)
class Faults:
    """Collects faults, a line each, so that a person sees all of them at once."""

    lines: list[str] = field(default_factory=list)

    def add(self, path: Path, line: int, what: str, cure: str = "") -> None:
        """Note `path:line: what; cure`."""
        self.lines.append(f"{path}:{line}: {what}" + (f"; {cure}" if cure else ""))

    def add_invalid(self, path: Path, error: ValidationError, line_of: Callable[[Loc], int]) -> None:
        """Note what pydantic found; `line_of` maps its locations to lines."""
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


def fail(path: Path, line: int, what: str, cure: str = "") -> NoReturn:
    """Raises PromptFileError `path:line: what; cure`."""
    raise PromptFileError(f"{path}:{line}: {what}", cure)


def nearest(word: str, known: Collection[str]) -> str:
    """`did you mean ...?`, or what there is where nothing is close, `MOST_NAMED` of it."""
    close = difflib.get_close_matches(word, sorted(known), n=1)
    if close:
        return f"did you mean {close[0]}?"
    more = f" and {len(known) - MOST_NAMED} more" if len(known) > MOST_NAMED else ""
    return "known: " + ", ".join(sorted(known)[:MOST_NAMED]) + more


def in_words(fault: ErrorDetails) -> str:
    """What pydantic found at one place, as a person would say it."""
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
    """Parse YAML (a given text, or the file); a syntax fault or a key given twice is a PromptFileError."""
    text = read_text(path) if text is None else text
    try:
        root, data = yaml.compose(text, Loader=yaml.SafeLoader), yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fail(path, (mark.line if mark else 0) + first_line, f"not YAML: {error.problem or error.context}")
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        fail(path, first_line, f"not YAML: {error}")
    lines, faults, seen = dict[Loc, int](), Faults(), set[int]()

    def walk(node: yaml.Node, loc: Loc) -> None:
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
            walk(child, here)

    if root is not None:
        walk(root, ())
    faults.raise_if_any()
    return Located(path, data, lines)


def validated(model: type[_Model], document: Located) -> _Model:
    """The document as a record; raises PromptFileError with every fault's line."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        (faults := Faults()).add_invalid(document.path, error, document.line)
        raise PromptFileError("\n".join(faults.lines)) from None


def prompt_roots(beside: Path | None = None) -> list[Path]:
    """Where prompt files are looked for: the recipe's folder, its `prompts/`, then what superalign ships."""
    shipped = Path(__file__).parent / "_assets" / "prompts"  # in a wheel; in a checkout it does not exist
    own = [] if beside is None else [beside, beside / "prompts"]
    return [*own, shipped if shipped.is_dir() else Path(__file__).parent.parent / "prompts"]


def prompt_path(name: str | Path, beside: Path | None = None) -> Path:
    """The file or folder of that name; the recipe's folder wins over what is shipped."""
    roots = prompt_roots(beside)
    for root in roots:
        if (root / name).exists():  # an absolute name stays as it is
            return root / name
    raise PromptFileError(f"{name}: no such prompt file", f"looked in {', '.join(dict.fromkeys(map(str, roots)))}")


@dataclass(frozen=True)
class PromptTemplate:
    """A loaded prompt file."""

    name: str
    """The front matter's `name`, else the file's name without its ending."""
    path: Path
    sha256: str
    """Of the file's bytes, front matter included."""
    meta: Located
    slots: Mapping[str, int]
    """Every slot the body reads, with the line where it first does."""
    turns: tuple[tuple[str, int, jinja2.Template], ...] = field(repr=False)
    """Role, line before its first line, body. `=== role` lines divide the body before slots are filled, so no
    slot's text can open a turn."""

    def messages(self, **slots: object) -> Messages:
        """The conversation with its slots filled; raises PromptFileError for a slot without a value."""
        for name, line in self.slots.items():
            if name not in slots:
                fail(self.path, line, f"slot {name} was given no value")
        try:
            turns = [(role, filled(body, slots).strip()) for role, _, body in self.turns]
        except (jinja2.TemplateError, TypeError, ValueError) as error:
            fail(self.path, self.turns[0][1] + 1, str(error))
        return tuple(Message.model_validate({"role": role, "content": text}) for role, text in turns)

    def render(self, **slots: object) -> str:
        return "\n\n".join(message.content for message in self.messages(**slots))


def load_prompt(path: Path, slots: Collection[str]) -> PromptTemplate:
    """Load a prompt file whose body may read `slots`; raises PromptFileError with every fault in it."""
    front, body, first_line = divide(path, read_text(path))
    document = load_yaml_with_lines(path, front, 2) if front.strip() else Located(path, {}, {})
    if not isinstance(document.data, dict):
        fail(path, 2, "the front matter is no mapping", "write `key: value` lines")
    name, digest = str(document.data.get("name") or path.stem), hashlib.sha256(path.read_bytes()).hexdigest()
    return PromptTemplate(name, path, digest, document, *_read_turns(path, body, first_line, slots))


def prompt_from_text(name: str, text: str, path: Path, line: int, slots: Collection[str]) -> PromptTemplate:
    """A template that stands in a row of another file; `line` is where its text begins (for faults)."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return PromptTemplate(name, path, digest, Located(path, {}, {(): line}), *_read_turns(path, text, line, slots))


def _read_turns(
    path: Path, body: str, first_line: int, slots: Collection[str]
) -> tuple[dict[str, int], tuple[tuple[str, int, jinja2.Template], ...]]:
    faults, used, turns = Faults(), dict[str, int](), []
    for role, line, part in _turns(body, first_line - 1):
        if role not in _ROLES or not part.strip():
            faults.add(path, line or 1, f"the {role} turn is empty" if role in _ROLES else f"unknown role {role}")
        try:
            template, names = compiled(part, slots, nearest)
        except TemplateFault as error:
            for at, what in error.faults:
                faults.add(path, line + at, what)
            continue
        turns.append((role, line, template))
        for name, at in names.items():
            used.setdefault(name, line + at)
    faults.raise_if_any()
    return used, tuple(turns)


def divide(path: Path, text: str) -> tuple[str, str, int]:
    """Front matter, body, and the body's first line; raises PromptFileError."""
    if not text.startswith("---\n"):
        return "", text, 1
    front, fence, body = text[3:].partition("\n---\n")
    if not fence:
        fail(path, 1, "the front matter is not closed", "end it with a line ---")
    return front.removeprefix("\n"), body, front.count("\n") + 3


def _turns(body: str, offset: int) -> Iterator[tuple[str, int, str]]:
    """Role, line before the part's first line, text; a body without `=== role` is one user turn."""
    marks = list(_TURN.finditer(body))
    if not marks or body[: marks[0].start()].strip():
        yield "user", offset, body[: marks[0].start()] if marks else body
    for mark, end in zip(marks, [*(after.start() for after in marks[1:]), len(body)], strict=False):
        yield mark[1], offset + body[: mark.end()].count("\n"), body[mark.end() : end]
