"""Anyone's code as an attacker, a critic or a check: a `.py` file, a package folder, or an installed entry point.

A plug-in is code and may do whatever its user may; only prompt files are kept in a sandbox.
"""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from superalign.errors import PromptFileError
from superalign.files.find import prompt_roots
from superalign.files.hashes import sha256_bytes, sha256_file
from superalign.files.yaml_lines import nearest
from superalign.protocols import DropError

Group = Literal["attackers", "critics", "checks"]
"""What a plug-in is; `superalign.GROUP` is its group of entry points."""
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
    """Hash of its source files."""
    actor: Any
    """The object of its class."""
    verb: str
    """The name of the method that is called."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)

    @property
    def files(self) -> dict[str, Path]:
        """Name in a run folder -> source file."""
        inside = sorted(self.path.rglob("*.py")) if self.path.is_dir() else [self.path]
        return {f"plugins/{file.relative_to(self.path.parent).as_posix()}": file for file in inside}

    async def call(self, *arguments: Any) -> Any:
        """What the plug-in returns, awaited if it is a coroutine; raises DropError for whatever it raises."""
        method = getattr(self.actor, self.verb)
        try:
            if inspect.iscoroutinefunction(method):
                return await method(*arguments)
            async with self._turn:  # in a thread, so that one that waits holds nobody up, but never twice at once
                result = await asyncio.to_thread(method, *arguments)
            return await result if inspect.isawaitable(result) else result
        except DropError:
            raise
        except Exception as error:
            raise DropError(f"{self.path.name}:{_line_in(self.path, error)}: {_in_words(error)}") from error


def is_plugin(name: str, group: Group, base_dir: Path | None = None) -> bool:
    """Whether a name is meant as a plug-in: a `.py` file, a folder with code in it, an entry point."""
    if name.endswith(".py"):
        return True
    path = _path_of(name, base_dir)
    if path is not None and path.is_dir():
        return (path / "__init__.py").is_file()
    return path is None and name in entry_points(group=f"superalign.{group}").names


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
    path = _path_of(name, base_dir)
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


def _path_of(name: str, base_dir: Path | None) -> Path | None:
    paths = (root / name for root in prompt_roots(base_dir))
    return next((path for path in paths if path.exists() and (path.suffix == ".py" or path.is_dir())), None)


def _imported(path: Path) -> ModuleType:
    """The file or package as a module of its own, whatever its name is."""
    source = path / "__init__.py" if path.is_dir() else path
    if not source.is_file():
        raise PromptFileError(f"{path}: no __init__.py in this folder", "add one with the class, or name a .py file")
    title = f"superalign_plugin_{_sha256(path)[:12]}_{sha256_bytes(str(path))[:8]}"
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
        raise PromptFileError(f"{source}:{at}: import failed: {_in_words(error)}", "mend it") from error
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
        installed = entry_names(group)
        hint = nearest(name, installed) if installed else f"no installed package has entry points superalign.{group}"
        raise PromptFileError(f"{name}: neither a .py file, a package folder nor an entry point", hint)
    place = f"entry point {name} ({points[name].value})"
    try:
        kind = points[name].load()
    except (Exception, SystemExit) as error:
        raise PromptFileError(f"{place}: import failed: {_in_words(error)}", "mend the package") from error
    if not inspect.isclass(kind) or not callable(getattr(kind, _VERBS[group][0], None)):
        raise PromptFileError(f"{place} is no class with a method {_VERBS[group][0]}", "let it name the class")
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
        what = f"{path}:{at}: {kind.__name__} can't be made: {_in_words(error)}"
        raise PromptFileError(what, "its constructor may take `options`, a dict, and nothing else") from error


def _sha256(path: Path) -> str:
    if path.is_file():
        return sha256_file(path)
    files = sorted(path.rglob("*.py"))
    return sha256_bytes("".join(f"{file.relative_to(path).as_posix()}\n{sha256_file(file)}\n" for file in files))


def _in_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


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
