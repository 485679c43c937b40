"""Prompt files: front matter and a Jinja body.

A template is filled in the sandbox, so a stranger's file can neither reach the machine nor keep it busy; a slot it
does not know is an error at load.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import jinja2

from superalign.files.hashes import sha256_bytes, sha256_file
from superalign.files.template_sandbox import TemplateFault, compiled, filled
from superalign.files.yaml_lines import Faults, Located, fail, load_yaml_with_lines, nearest, read_text
from superalign.records.rollout import Message, Messages

_ROLES: tuple[str, ...] = get_args(Message.model_fields["role"].annotation)
_TURN = re.compile(r"^===[ \t]*(\w+)[ \t]*\n?", re.MULTILINE)


@dataclass(frozen=True)
class PromptTemplate:
    """A loaded prompt file."""

    name: str
    """The front matter's `name`, else the file's name without its ending."""
    path: Path
    sha256: str
    """Hash of the file's bytes, front matter included."""
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
    front, body, first_line = front_matter(path)
    name, digest = str(front.data.get("name") or path.stem), sha256_file(path)
    return PromptTemplate(name, path, digest, front, *_read_turns(path, body, first_line, slots))


def prompt_from_text(name: str, text: str, path: Path, line: int, slots: Collection[str]) -> PromptTemplate:
    """A template that stands in a row of another file; `line` is where its text begins (for faults)."""
    return PromptTemplate(
        name, path, sha256_bytes(text), Located(path, {}, {(): line}), *_read_turns(path, text, line, slots)
    )


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


def front_matter(path: Path) -> tuple[Located, str, int]:
    """Front matter (a mapping), body, and the body's first line; raises PromptFileError."""
    text = read_text(path)
    if not text.startswith("---\n"):
        return Located(path, {}, {}), text, 1
    front, fence, body = text[3:].partition("\n---\n")
    if not fence:
        fail(path, 1, "the front matter is not closed", "end it with a line ---")
    document = load_yaml_with_lines(path, front.removeprefix("\n"), 2) if front.strip() else Located(path, {}, {})
    if not isinstance(document.data, dict):
        fail(path, 2, "the front matter is no mapping", "write `key: value` lines")
    return document, body, front.count("\n") + 3


def _turns(body: str, offset: int) -> Iterator[tuple[str, int, str]]:
    """Role, line before the part's first line, text; a body without `=== role` is one user turn."""
    marks = list(_TURN.finditer(body))
    if not marks or body[: marks[0].start()].strip():
        yield "user", offset, body[: marks[0].start()] if marks else body
    for mark, end in zip(marks, [*(after.start() for after in marks[1:]), len(body)], strict=False):
        yield mark[1], offset + body[: mark.end()].count("\n"), body[mark.end() : end]
