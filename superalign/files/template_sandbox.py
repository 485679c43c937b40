"""The sandbox in which anyone's template is filled: it reads its slots, and its work is bounded.

What a template may hold is a list, so that what jinja2 learns tomorrow is not allowed by accident. What is left
(filters, loops over lists) pays for every character from a budget, at load and at each rendering.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from superalign.files import text_filters

MAX_SOURCE_CHARS = 100_000
MAX_CHARS = 400_000
"""What one rendering may read through filters, walk through in loops and write, in characters."""
_ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem,
    nodes.Filter, nodes.FilterBlock, nodes.Test, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not,
    nodes.If, nodes.CondExpr, nodes.For, nodes.Concat, nodes.Slice, nodes.Neg, nodes.Keyword, nodes.List, nodes.Tuple,
)  # fmt: skip
_OPERATORS = {
    "call": "a call", "mod": "%", "mul": "*", "pow": "**", "add": "+", "sub": "-", "div": "/", "floordiv": "//",
    "scopedevalcontextmodifier": "autoescape", "evalcontextmodifier": "autoescape",
}  # fmt: skip
_IMPLICIT = {"self", "super", "caller", "varargs", "kwargs"}  # jinja2 gives them without being asked
_left: ContextVar[int] = ContextVar("left", default=MAX_CHARS)


class TemplateFault(Exception):  # noqa: N818 - a fault in a file, as everywhere here
    """A template that may not be used: line (from 1) and what is wrong, for each fault."""

    def __init__(self, faults: list[tuple[int, str]]) -> None:
        super().__init__(faults)
        self.faults = faults


def sentence(text: str) -> str:
    """First letter a capital, and a full stop unless it closes by itself."""
    return (
        (text := text.strip())[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?", '"', "”", ":")) else ".")
    )


def phrase(text: str) -> str:
    """Fit for the middle of a sentence: no closing punctuation, small first letter (`I`, `URL` stay)."""
    text = text.strip().rstrip(".!?")
    return text if re.match(r"I\b|\w*[A-Z]{2}|\w+[A-Z]", text) else text[:1].lower() + text[1:]


@contextmanager
def _budget() -> Iterator[None]:
    token = _left.set(MAX_CHARS)
    try:
        yield
    finally:
        _left.reset(token)


def _spend(chars: int) -> None:
    _left.set(_left.get() - chars)
    if _left.get() < 0:
        raise jinja2.TemplateRuntimeError(
            f"the template works on more than {MAX_CHARS} characters; shorten the slot's text, or use fewer filters"
        )


def _paid(filter: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, paying for the text it gets: filters that lengthen a text could else be chained without end."""

    @functools.wraps(filter)  # keeps jinja2's mark of those that want the environment
    def paid(*args: Any, **named: Any) -> Any:
        _spend(1 + sum(len(arg) for arg in (*args, *named.values()) if isinstance(arg, str)))
        return filter(*args, **named)

    return paid


def _items(value: Any) -> list[Any]:
    """What a `for` goes over; a text is no list, or two loops over a long one would take minutes."""
    if isinstance(value, jinja2.Undefined | str) or not isinstance(value, list | tuple):
        kind = "a text" if isinstance(value, str) else type(value).__name__
        raise jinja2.TemplateRuntimeError(f"a loop goes over a list, not over {kind}")
    _spend(len(value))
    return list(value)


def _printed(value: Any) -> Any:
    """Text and numbers; a method or an object would print its place in memory, which no two runs share."""
    if isinstance(value, str | int | float | jinja2.Undefined):
        return value
    raise jinja2.TemplateRuntimeError(f"only text can be printed, not {type(value).__name__}")


_SANDBOX = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_printed
)
_SANDBOX.globals.clear()
_SANDBOX.tests = {name: _SANDBOX.tests[name] for name in ("defined", "undefined", "none", "string")}
FILTERS: dict[str, Callable[..., Any]] = {
    name: _SANDBOX.filters[name] for name in ("first", "last", "length", "lower", "trim", "upper")
} | {"sentence": sentence, "phrase": phrase, **text_filters.FILTERS}
"""What a template can do to a text: pure functions, the same for equal texts."""
_SANDBOX.filters = {name: _paid(filter) for name, filter in FILTERS.items()} | {" items": _items}


def compiled(
    text: str, slots: Collection[str], nearest: Callable[[str, Collection[str]], str]
) -> tuple[jinja2.Template, Mapping[str, int]]:
    """The template, and the slots it reads with the line where it first does; raises TemplateFault with every fault.

    nearest: says what was perhaps meant by an unknown word.
    """
    if len(text) > MAX_SOURCE_CHARS:
        raise TemplateFault([(1, f"the template has {len(text)} characters, over {MAX_SOURCE_CHARS}")])
    try:
        with _budget():  # compiling folds constants, and so may already run a filter
            tree = _SANDBOX.parse(text)
            faults = [*_forbidden(tree), *_unknown(tree, nearest)]
            if faults:
                raise TemplateFault(sorted(set(faults)))
            used = _slots(tree)
            faults = [
                (at, f"unknown slot {name}; {nearest(name, slots)}") for name, at in used.items() if name not in slots
            ]
            if faults:
                raise TemplateFault(sorted(faults))
            for loop in list(tree.find_all(nodes.For)):
                loop.iter = nodes.Filter(loop.iter, " items", [], [], None, None, lineno=loop.lineno)
            return _SANDBOX.from_string(tree), used
    except jinja2.TemplateSyntaxError as error:
        raise TemplateFault([(error.lineno, str(error.message))]) from None
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise TemplateFault([(1, "the template is nested too deep")]) from error


def filled(template: jinja2.Template, slots: Mapping[str, object]) -> str:
    """The text with its slots filled; raises jinja2.TemplateError, TypeError or ValueError for what fails in it."""
    parts = []
    with _budget():
        for part in template.generate(slots):
            _spend(len(part))
            parts.append(part)
    return "".join(parts)


def _forbidden(tree: nodes.Template) -> Iterator[tuple[int, str]]:
    for node in _nodes_of(tree):
        kind = type(node).__name__.lower()
        if not isinstance(node, _ALLOWED):
            yield node.lineno or 1, f"{_OPERATORS.get(kind, kind)} is not allowed here"
        elif name := _private(node):
            yield node.lineno, f"{name} is out of reach"
        elif isinstance(node, nodes.For) and (node.recursive or node.find(nodes.For)):
            yield node.lineno, "a loop inside a loop is not allowed here"


def _unknown(tree: nodes.Template, nearest: Callable[[str, Collection[str]], str]) -> Iterator[tuple[int, str]]:
    for node in tree.find_all(nodes.Filter):
        if node.name not in FILTERS:
            yield node.lineno, f"unknown filter {node.name}; {nearest(str(node.name), FILTERS)}"
    for test in tree.find_all(nodes.Test):
        if test.name not in _SANDBOX.tests:
            yield test.lineno, f"unknown test {test.name}; {nearest(test.name, _SANDBOX.tests)}"


def _nodes_of(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _nodes_of(child)


def _private(node: nodes.Node) -> str:
    """The name with a leading underscore that the node reaches for, behind which Python's machinery lies; else ""."""
    name = node.attr if isinstance(node, nodes.Getattr) else ""
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        name = str(node.arg.value)
    return name if name.startswith("_") else ""


def _slots(tree: nodes.Template) -> dict[str, int]:
    unbound = meta.find_undeclared_variables(tree) | _IMPLICIT
    first_lines: dict[str, int] = {}
    for node in tree.find_all(nodes.Name):
        if node.name in unbound:
            first_lines.setdefault(node.name, node.lineno)
    return first_lines
