"""Anyone's code as an attacker, a critic or a check: a `.py` file, a package folder, or an installed entry point.

A plug-in is code and may do whatever its user may; only prompt files are kept in a sandbox.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from superalign.errors import PromptFileError
from superalign.files.find import prompt_roots
from superalign.files.yaml_lines import nearest
from superalign.protocols import DropError

Group = Literal["attackers", "critics", "checks"]
"""What it plugs in as; `superalign.GROUP` is the group of entry points."""
_VERBS: Mapping[Group, tuple[str, tuple[str, ...]]] = {
    "attackers": ("attack", ("seed", "history")),
    "critics": ("critique", ("messages", "reply")),
    "checks": ("check", ("messages", "reply")),
}


@dataclass(frozen=True)
class Plugin:
    """A plug-in's object, made and ready to be called."""

    name: str
    """The file's name without its ending, the folder's, or the entry point's."""
    path: Path
    """The file, or the package's folder."""
    sha256: str
    """Of its source files."""
    actor: Any
    verb: str
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def files(self) -> dict[str, Path]:
        """Its source files, by what to call them."""
        inside = sorted(self.path.rglob("*.py")) if self.path.is_dir() else [self.path]
        return {f"plugins/{file.relative_to(self.path.parent).as_posix()}": file for file in inside}

    async def call(self, *given: Any) -> Any:
        """What the plug-in returns, awaited where it is a coroutine; raises DropError for whatever it raises."""
        method = getattr(self.actor, self.verb)
        try:
            if inspect.iscoroutinefunction(method):
                return await method(*given)
            async with self._turn:  # in a thread, so that one that waits holds nobody up, but never twice at once
                result = await asyncio.to_thread(method, *given)
            return await result if inspect.isawaitable(result) else result
        except DropError:
            raise
        except Exception as error:
            line = _line_in(self.path, error)
            raise DropError(f"{self.path.name}:{line}: {type(error).__name__}: {error}") from error


def is_plugin(name: str, group: Group, base_dir: Path | None = None) -> bool:
    """Whether a name is meant as a plug-in: a `.py` file, a folder with code in it, an entry point."""
    if name.endswith(".py"):
        return True
    found = _found(name, base_dir)
    if found is not None and found.is_dir():
        return (found / "__init__.py").is_file()
    return found is None and name in entry_points(group=f"superalign.{group}").names


def entry_names(group: Group) -> list[str]:
    """The plug-ins that installed packages bring."""
    return sorted(entry_points(group=f"superalign.{group}").names)


def load_plugin(
    name: str, group: Group, base_dir: Path | None = None, options: Mapping[str, Any] | None = None
) -> Plugin:
    """Import a plug-in and make its object, with `options` where its constructor takes them.

    name: a path, relative to `base_dir`, or an entry point. Raises PromptFileError for what is not there, can't be
    imported, has not exactly one class with the method, or can't be made.
    """
    path = _found(name, base_dir)
    if path is not None:
        module = _imported(path)
        kind = _only_class(module, path, group)
        title = path.stem
    else:
        title, kind = name, _of_package(name, group)
        path = Path(inspect.getsourcefile(kind) or name)
    actor = _made(kind, path, options or {})
    verb, wanted = _VERBS[group]
    try:
        inspect.signature(getattr(actor, verb)).bind(*wanted)
    except TypeError:
        hint = f"define it as {verb}(self, {', '.join(wanted)})"
        raise PromptFileError(f"{path}:{_line_of(getattr(kind, verb))}: {verb} takes other arguments", hint) from None
    return Plugin(title, path, _sha256(path), actor, verb)


def _found(name: str, base_dir: Path | None) -> Path | None:
    looked = (root / name for root in prompt_roots(base_dir))
    return next((path for path in looked if path.exists() and (path.suffix == ".py" or path.is_dir())), None)


def _imported(path: Path) -> ModuleType:
    """The file or package as a module of its own, whatever its name is."""
    source = path / "__init__.py" if path.is_dir() else path
    if not source.is_file():
        raise PromptFileError(f"{path}: no __init__.py in this folder", "add one with the class, or name a .py file")
    title = f"superalign_plugin_{_sha256(path)[:12]}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    inside = [str(path)] if path.is_dir() else None
    spec = importlib.util.spec_from_file_location(title, source, submodule_search_locations=inside)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module  # dataclasses and relative imports look there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[title]
        at = error.lineno if isinstance(error, SyntaxError) and error.lineno else _line_in(path, error)
        raise PromptFileError(f"{source}:{at}: import failed: {type(error).__name__}: {error}", "mend it") from error
    return module


def _only_class(module: ModuleType, path: Path, group: Group) -> type:
    verb, wanted = _VERBS[group]
    own = [
        kind for kind in vars(module).values()
        if inspect.isclass(kind) and (kind.__module__ + ".").startswith(module.__name__ + ".")
        and callable(getattr(kind, verb, None)) and not inspect.isabstract(kind)
    ]  # fmt: skip
    leaves = [kind for kind in dict.fromkeys(own) if not any(kind in other.__mro__[1:] for other in own)]
    if not leaves:
        hint = f"write a class with {verb}(self, {', '.join(wanted)})"
        raise PromptFileError(f"{path}:1: no class with a method {verb}", hint)
    if len(leaves) > 1:
        listed = ", ".join(f"{kind.__name__} (line {_line_of(kind)})" for kind in leaves)
        raise PromptFileError(f"{path}:{_line_of(leaves[1])}: {len(leaves)} classes with {verb}: {listed}", "keep one")
    return leaves[0]


def _of_package(name: str, group: Group) -> type:
    points = entry_points(group=f"superalign.{group}")
    if name not in points.names:
        known = entry_names(group)
        hint = nearest(name, known) if known else f"no installed package has entry points superalign.{group}"
        raise PromptFileError(f"{name}: neither a .py file, a package folder nor an entry point", hint)
    point: EntryPoint = points[name]
    try:
        kind = point.load()
    except (Exception, SystemExit) as error:
        raise PromptFileError(
            f"entry point {name} ({point.value}): import failed: {type(error).__name__}: {error}", "mend the package"
        ) from error
    if not inspect.isclass(kind) or not callable(getattr(kind, _VERBS[group][0], None)):
        what = f"entry point {name} ({point.value}) is no class with a method {_VERBS[group][0]}"
        raise PromptFileError(what, "let it name the class")
    return kind


def _made(kind: type, path: Path, options: Mapping[str, Any]) -> Any:
    line = _line_of(kind)
    takes = "options" in inspect.signature(kind).parameters
    if options and not takes:
        hint = "leave them out, or let __init__ take `options`"
        raise PromptFileError(f"{path}:{line}: {kind.__name__} takes no options", hint)
    try:
        return kind(options=dict(options)) if takes else kind()
    except Exception as error:
        at = _line_in(path, error) if error.__traceback__ and error.__traceback__.tb_next else line
        what = f"{path}:{at}: {kind.__name__} can't be made: {type(error).__name__}: {error}"
        raise PromptFileError(what, "its constructor may take `options`, a dict, and nothing else") from error


def _sha256(path: Path) -> str:
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*.py")):
        digest.update(
            f"{file.relative_to(path).as_posix()}\n{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


def _line_in(path: Path, error: BaseException) -> int:
    """The last line of the plug-in's own that the error came through."""
    inside = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename) == path or path in Path(frame.filename).parents
    ]  # fmt: skip
    return next((line for line in reversed(inside) if line is not None), 1)


def _line_of(code: Any) -> int:
    try:
        return inspect.getsourcelines(code)[1]
    except (OSError, TypeError):
        return 1
