"""The command line: names and one-line helps stand here, and a command's module is imported when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

COMMANDS = {
    "init": ("init:init", "Make a recipe of your own to start from."),
    "run": ("run:run", "Run a recipe, or go on with its run."),
    "resume": ("run:resume", "Go on with a run that was stopped."),
    "show": ("show:show", "Show what a run came to, round by round."),
    "report": ("report:report", "Write a run as one HTML page for people."),
    "review": ("review:review", "Judge the answers of a run that are most worth it."),
    "export": ("export:export", "Write a checkpoint as a model of its own."),
    "promote": ("promote_fork:promote", "Promote any round's checkpoint by hand: the way back."),
    "fork": ("promote_fork:fork", "Go on after any round, in another folder or recipe."),
    "verify": ("show:verify", "Check that a run is as it was written."),
    "eval": ("evaluate:evaluate", "Measure a model on held-out prompts."),
    "compare": ("evaluate:compare", "Measure several models side by side, with paired tests."),
    "attack": ("attack:attack", "Only attack a model, and show what made it err."),
    "bench": ("bench:bench", "Measure speed and memory of this machine."),
    "doctor": ("doctor:doctor", "Show what this machine has, and what would be chosen."),
    "recipe": ("recipes:recipe", "The form of a recipe, for editors."),
    "recipes": ("recipes:recipes", "The recipes that superalign ships."),
    "suites": ("suites:app", "Held-out suites, shipped, public and your own."),
    "attackers": ("attackers:app", "Attack strategies, prompt files and plug-ins of your own."),
    "critic": ("critic:app", "The critic: how far it can be trusted."),
    "constitution": ("constitution:app", "Constitutions: what one says, and what differs between two."),
    "hazards": ("hazards:app", "Hazards of your own, made from clusters of failures."),
    "models": ("models:app", "The models that superalign can fetch."),
}
"""Name -> (`module:attribute`, one-line help), in the order in which one needs them."""


class LazyGroup(TyperGroup):
    """Lists commands by placeholders, which have a name and a help; a call replaces the placeholder by the command."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that `args` begin with; its module is imported here."""
        if args and args[0] in COMMANDS:
            self.commands[args[0]] = _load(args[0])
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="superalign",
    cls=LazyGroup,
    help="Find what a language model does wrong, train it on that, keep it only if it got better.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with `superalign init DIR`. SUPERALIGN_DEBUG=1 shows the traceback of an error.",
)
for _name, (_, _about) in COMMANDS.items():
    app.command(_name, help=_about)(lambda: None)


def command() -> TyperGroup:
    """The whole tree of commands with every parameter, for documents; imports every command's module."""
    tree = typer.main.get_group(app)
    for name in COMMANDS:
        tree.commands[name] = _load(name)
    return tree


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name][0].partition(":")
    declared = getattr(importlib.import_module(f"superalign.cli.{module}"), attribute)
    if not isinstance(declared, typer.Typer):
        function, declared = declared, typer.Typer(add_completion=False, rich_markup_mode=None)
        declared.command(name)(function)
    loaded = typer.main.get_command(declared)
    loaded.name = name
    return loaded


def _version(wanted: bool) -> None:
    if wanted:
        from superalign import __version__

        print(f"superalign {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@contextmanager
def reported() -> Iterator[None]:
    """Every expected error inside the block ends the process with one message, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a model's text must not fail on a narrow encoding
    try:
        yield
    except Exception as error:
        from superalign.cli.exit import ended

        sys.exit(ended(error))


def main() -> None:
    """The console script."""
    with reported():
        app()


if __name__ == "__main__":
    main()
