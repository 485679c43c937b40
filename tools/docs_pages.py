"""The pages of the documents that are drawn from the code when the site is built; mkdocs calls it as a hook.

python tools/docs_pages.py FOLDER      writes the same pages as Markdown, to read them without building the site
python tools/docs_pages.py --readme    draws the map of rooms in README.md anew
"""

from __future__ import annotations

import ast
import enum
import importlib
import inspect
import itertools
import json
import re
import sys
import textwrap
import tomllib
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parent.parent
PAGES = {
    "reference/recipe.md": "recipe_page",
    "reference/command-line.md": "command_line_page",
    "reference/api.md": "api_page",
    "reference/rooms.md": "rooms_page",
    "tutorials/notebooks.md": "notebooks_page",
}
"""Page -> the function that writes it."""


def on_files(files: Any, *, config: Any) -> Any:
    """mkdocs' hook: add the generated pages to the files of the site."""
    from mkdocs.structure.files import File

    for page, function in PAGES.items():
        files.append(File.generated(config, page, content=globals()[function]()))
    return files


# --- the recipe -------------------------------------------------------------------------------------------------------


def recipe_page() -> str:
    """Every key of a recipe: type, default, and the text under the field."""
    from superalign.config.recipe import Recipe

    models: dict[type[BaseModel], str] = {Recipe: ""}
    waiting = [Recipe]
    for model in waiting:  # grows while it is read
        for key, field in model.model_fields.items():
            for inner in _models_in(field.annotation):
                if inner not in models:
                    models[inner] = f"{models[model]}.{key}".strip(".")
                    waiting.append(inner)
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.__name__, []).append(model.__module__)
    double = [name for name, modules in names.items() if len(modules) > 1]
    if double:
        raise ValueError(f"two models of one name can't be told apart in the reference: {', '.join(double)}")
    intro = """# Recipe

A recipe is a YAML file. This page is drawn from the models that check it: each key with its type, its default and what
it does. A key without a default has to be there. Unknown keys are an error that names the nearest known one.

`superalign run RECIPE --dry-run` checks a recipe and every file that it names, and starts nothing. `--set a.b=c` sets
one key from the command line; the value is YAML.
"""
    return intro + "".join(_model_section(model, path) for model, path in models.items())


def _model_section(model: type[BaseModel], path: str) -> str:
    """path: where the first of them stands in a recipe, `training.lora`; empty: it is the recipe."""
    tag = _tag(model)
    title = " with ".join([f"`{path}`", *([f"`{tag[0]}: {tag[1]}`"] if tag else [])]) if path else "The top level"
    lines = [f"\n## {title} {{#{model.__name__.lower()}}}\n", _one_line(inspect.getdoc(model) or ""), ""]
    texts = field_texts(model)
    rows = [
        f"| `{field.alias or name}` | {_type(field.annotation)}{_bounds(field)} | {_default(field)} "
        f"| {_cell(texts.get(name, ''))} |"
        for name, field in model.model_fields.items()
        if not (tag and name == tag[0])
    ]
    if rows:
        lines += ["| key | type | default | |", "|---|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def _tag(model: type[BaseModel]) -> tuple[str, str] | None:
    """The key and value by which a recipe names this model, `type` and `rules`; None: it has none."""
    for key in ("type", "kind"):
        field = model.model_fields.get(key)
        if field and get_origin(field.annotation) is Literal and len(get_args(field.annotation)) == 1:
            return key, get_args(field.annotation)[0]
    return None


def field_texts(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the string beneath it in the source, those of its base classes included."""
    texts: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not (isinstance(base, type) and issubclass(base, BaseModel)) or base is BaseModel:
            continue
        [body] = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in itertools.pairwise(statements):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
                value = text.value
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    texts[field.target.id] = _one_line(value.value)
    described = {name: field.description for name, field in model.model_fields.items() if field.description}
    return texts | {name: _one_line(text) for name, text in described.items()}


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    if isinstance(annotation, typing.TypeAliasType if sys.version_info >= (3, 12) else ()):
        yield from _models_in(annotation.__value__)
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _bounds(field: FieldInfo) -> str:
    """The limits of a number, ` ≥ 0, ≤ 1`."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [
        f"{sign} {getattr(one, name):g}" for one in field.metadata for name, sign in signs.items() if hasattr(one, name)
    ]
    return f" {', '.join(found)}" if found else ""


def _type(annotation: Any) -> str:
    """A type in words: `whole number`, `list of SeedFile`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is type(None):
        return "null"
    if annotation is Any:
        return "any"
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " \\| ".join(f"`{value}`" for value in inner)
    if origin in (Union, types.UnionType):
        return " \\| ".join(_type(one) for one in inner if one is not type(None))
    if origin is tuple:
        parts = [one for one in inner if one is not Ellipsis]
        return f"list of {_type(parts[0])}" if Ellipsis in inner else f"[{', '.join(map(_type, parts))}]"
    if origin is not None and len(inner) == 2:
        return f"mapping of {_type(inner[0])} to {_type(inner[1])}"
    if origin is not None and inner:
        return f"list of {_type(inner[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        tag = _tag(annotation)
        return f"[{tag[1] if tag else 'mapping'}](#{annotation.__name__.lower()})"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return " \\| ".join(f"`{one.value}`" for one in annotation)
    names = {"str": "text", "int": "whole number", "float": "number", "bool": "true \\| false", "Path": "path"}
    name = getattr(annotation, "__name__", str(annotation))
    return names.get(name, f"`{name}`")


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        return "**required**"
    if default is None:
        return "none"
    return f"`{_plain(default)}`"


def _plain(value: Any) -> str:
    if isinstance(value, BaseModel):
        tag = getattr(value, "type", None)
        keys = {name: getattr(value, name) for name in type(value).model_fields if name in value.model_fields_set}
        shown = ([] if tag is None else [f"type: {tag}"]) + [
            f"{k}: {_plain(v)}" for k, v in keys.items() if k != "type"
        ]
        return "{" + ", ".join(shown) + "}" if shown else "its defaults"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_plain, value)) + "]"
    if isinstance(value, dict | types.MappingProxyType):
        return "{" + ", ".join(f"{key}: {_plain(one)}" for key, one in value.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value == "" else str(value)


# --- the command line -------------------------------------------------------------------------------------------------


def command_tree() -> Any:
    """The root command, as click knows it."""
    main = importlib.import_module("superalign.cli.main")
    command = getattr(main, "command", None)
    return command() if callable(command) else typer.main.get_command(main.app)


def commands(command: Any = None, words: tuple[str, ...] = ("superalign",)) -> Iterator[tuple[str, Any]]:
    """Every command with its words, `superalign suites list`, in the order of `--help`."""
    command = command or command_tree()
    children = getattr(command, "commands", None)
    if children is None:
        yield " ".join(words), command
        return
    context = command.make_context(words[-1], [], resilient_parsing=True)
    for name in command.list_commands(context):
        yield from commands(command.get_command(context, name), (*words, name))


def command_line_page() -> str:
    """Every command with its arguments and options."""
    parts = [
        "# Command line\n\n`--json` prints data on stdout wherever a program might read it; progress and messages go "
        "to stderr. "
        "The exit status is 0 when all went well, 1 after an error, 2 after wrong usage, 130 after Ctrl-C. "
        "`SUPERALIGN_DEBUG=1` shows the traceback of an error. "
        "This page is drawn from the declarations that parse the command line.\n"
    ]
    for words, command in commands():
        parameters = [one for one in command.params if one.name != "help" and not getattr(one, "hidden", False)]
        arguments = [one for one in parameters if one.param_type_name == "argument"]
        usage = " ".join([words, *("[OPTIONS]" for one in parameters[:1] if len(parameters) > len(arguments))])
        usage = " ".join([usage, *(_metavar(one) for one in arguments)])
        parts.append(
            f"\n## {words.removeprefix('superalign ')}\n\n```text\n{usage}\n```\n\n{_paragraphs(command.help)}\n"
        )
        rows = [f"| {_names(one)} | {_cell(_help(one))} |" for one in parameters]
        if rows:
            parts.append("\n| | |\n|---|---|\n" + "\n".join(rows) + "\n")
    return "".join(parts)


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or (parameter.name or "").upper())


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{_metavar(parameter)}`"
    value = "" if parameter.is_flag else f" {_metavar(parameter)}"
    return ", ".join(f"`{name}{value}`" for name in parameter.opts)


def _help(parameter: Any) -> str:
    text = parameter.help or ""
    default = parameter.default
    if parameter.required:
        return f"{text} Required." if parameter.param_type_name == "option" else text
    if default in (None, False, ()) or callable(default) or not getattr(parameter, "show_default", True):
        return text
    return text if "[default" in text else f"{text}  [default: {default}]"


def _paragraphs(text: str | None) -> str:
    return inspect.cleandoc(text or "").replace("\b", "")


# --- the public API ---------------------------------------------------------------------------------------------------


def api_page() -> str:
    """What `import superalign` gives, in the order of `__all__`."""
    package = importlib.import_module("superalign")
    names = [name for name in getattr(package, "__all__", ()) if not name.startswith("__")]
    intro = (
        "# Python API\n\n`import superalign` gives what the command line does. Everything on this page is public: it "
        "is what `superalign.__all__` "
        "names, and it changes only with the changelog. All else may change at any time.\n"
    )
    parts = [intro]
    for title, group in _grouped({name: getattr(package, name) for name in names}):
        parts.append(f"\n## {title}\n")
        parts += [_public(name, value) for name, value in group]
    return "".join(parts)


def _grouped(values: dict[str, Any]) -> Iterator[tuple[str, list[tuple[str, Any]]]]:
    """Public names under a heading each, those that one needs first in front."""
    titles = ("Functions", "Runs and what they hold", "Roles to implement", "Options and figures", "Records", "Errors")
    groups: dict[str, list[tuple[str, Any]]] = {title: [] for title in titles}
    for name, value in values.items():
        module = str(getattr(value, "__module__", ""))
        if not isinstance(value, type):
            title = "Functions"
        elif issubclass(value, Exception):
            title = "Errors"
        elif getattr(value, "_is_protocol", False):
            title = "Roles to implement"
        elif module.startswith("superalign.records"):
            title = "Records"
        else:
            title = "Runs and what they hold" if module.startswith("superalign.api") else "Options and figures"
        groups[title].append((name, value))
    yield from ((title, group) for title, group in groups.items() if group)


def _public(name: str, value: Any) -> str:
    module, qualname = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not (module and qualname and str(module).startswith("superalign")):
        return f"\n### `superalign.{name}`\n\n{_one_line(inspect.getdoc(value) or '')}\n"
    options = f"    options:\n      heading: superalign.{name}\n      heading_level: 3\n      show_root_heading: true\n"
    return f"\n::: {module}.{qualname}\n{options}"


# --- the rooms --------------------------------------------------------------------------------------------------------


def layers() -> list[list[str]]:
    """The layers of pyproject.toml, uppermost first, each with its rooms."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    [contract] = [one for one in settings["contracts"] if one["id"] == "layers"]
    return [re.split(r"\s*[|:]\s*", layer.strip("() ")) for layer in contract["layers"]]


def room_sentences() -> dict[str, str]:
    """Room -> the first sentence of its docstring; folders in the package and modules at its root."""
    package = ROOT / "superalign"
    files = {path.parent.name: path for path in package.glob("*/__init__.py")}
    files |= {path.stem: path for path in package.glob("*.py") if not path.stem.startswith("__")}
    return {
        room: first_sentence(ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "")
        for room, path in files.items()
    }


def first_sentence(text: str) -> str:
    """The first sentence of a docstring, on one line."""
    return re.split(r"(?<=\.)\s", _one_line(text))[0] if text else ""


def room_table() -> str:
    """`room | what it is | it may import`: the rooms by layer, uppermost first."""
    sentences, rows = room_sentences(), []
    every = layers()
    for number, layer in enumerate(every):
        below = f"layers {number + 2} to {len(every)}" if number + 2 < len(every) else f"layer {len(every)}"
        for room in layer:
            slash = "/" if (ROOT / "superalign" / room).is_dir() else ".py"
            target = below if number + 1 < len(every) else "nothing above it"
            rows.append(f"| {number + 1} | `{room}{slash}` | {_cell(sentences.get(room, ''))} | {target} |")
    return "\n".join(["| layer | room | what it is | imports go to |", "|---|---|---|---|", *rows])


def room_map() -> str:
    """The map in README.md: a room a line, by layer, with the first words of what it is."""
    sentences, lines = room_sentences(), []
    for number, layer in enumerate(layers(), 1):
        for room in layer:
            name = f"{room}/" if (ROOT / "superalign" / room).is_dir() else f"{room}.py"
            words = _start_of(sentences.get(room, ""), 84)
            lines.append(f"{number:2} {name:14}{words}")
    return "```text\n" + "\n".join(lines) + "\n```\n"


def _start_of(sentence: str, length: int) -> str:
    """The sentence without its full stop, or what of it fits up to a colon, semicolon or comma."""
    while len(sentence) > length and re.search(r"[:;,]", sentence):
        sentence = re.sub(r"[:;,][^:;,]*$", "", sentence)
    return sentence.rstrip(".")


def readme_with_map(text: str) -> str:
    """The text of README.md with the map as it is now."""
    return re.sub(
        r"(<!-- map[^\n]*-->\n).*?(<!-- end of map -->)", lambda m: m[1] + room_map() + m[2], text, flags=re.DOTALL
    )


def rooms_page() -> str:
    """The map of the package."""
    return f"""# Rooms of the code

Imports go downward only, and rooms of one layer do not import each other, but for the lowest layer. `make check` holds
that with import-linter, and this table is drawn from its contract and from each room's own first sentence.

{room_table()}

Only the pools, the training child, `models/`, `export/` and the benches import torch, transformers, trl, peft or vLLM,
so that `superalign --help` answers at once and a fault in a recipe needs no GPU.

`recipes/` and `prompts/` are what ships with the package. `benchmarks/` makes the tables of the results and is not
installed. `tests/` has a folder for each room.
"""


# --- notebooks --------------------------------------------------------------------------------------------------------


def notebooks_page() -> str:
    """The notebooks of `docs/notebooks/`, their texts and code one after the other."""
    parts = [
        "# Notebooks\n\nThe Python API at work. Each notebook is run from its first cell to its last by the tests; "
        "what it prints is left out here.\n"
    ]
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        for number, cell in enumerate(cells):
            text = "".join(cell["source"]).strip()
            if cell["cell_type"] == "markdown":
                parts.append(re.sub(r"^#", "##", text, flags=re.MULTILINE) + "\n")
            elif text:
                parts.append(f"```python\n{text}\n```\n")
            if number == 0:
                parts.append(f"[Download this notebook](../notebooks/{path.name})\n")
    return "\n".join(parts)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _cell(text: str) -> str:
    """Text that may stand in a table: no bar, no markup of its own."""
    text = _one_line(text).replace("|", "\\|").replace("<", "&lt;")
    return re.sub(r"(?<!`)\*(?!`)", r"\\*", text)


def main() -> None:
    """Write the pages into a folder, or the map into README.md."""
    if sys.argv[1:] == ["--readme"]:
        readme = ROOT / "README.md"
        readme.write_text(readme_with_map(readme.read_text("utf-8")), "utf-8")
        return
    folder = Path(sys.argv[1])
    for page, function in PAGES.items():
        path = folder / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(globals()[function](), "utf-8")
        print(path)


if __name__ == "__main__":
    main()
