"""Declares the commands and nothing else: a body is imported when its command runs, so that `--help` is quick."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.attackers_app import app as attackers_app
from superalign.cli.bench_app import bench
from superalign.cli.constitution_app import app as constitution_app
from superalign.cli.critic_app import app as critic_app
from superalign.cli.evaluation_app import compare, evaluate
from superalign.cli.hazards_app import app as hazards_app
from superalign.cli.models_app import app as models_app
from superalign.cli.options import Json
from superalign.cli.report_app import report
from superalign.cli.review_app import review
from superalign.cli.rounds_app import RunDir, export, fork, promote
from superalign.cli.suites_app import app as suites_app
from superalign.errors import SuperalignError

app = typer.Typer(
    name="superalign",
    help="Find what a language model does wrong, train it on that, keep it only if it got better.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Begin with `superalign init DIR`. SUPERALIGN_DEBUG=1 shows the traceback of an error.",
)

Rounds = Annotated[int | None, typer.Option(min=1, metavar="N", help="Rounds in all, instead of the recipe's.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="A.B=C", help="Set one field of the recipe.")]


def _version(wanted: bool) -> None:
    if wanted:
        from superalign import __version__

        print(f"superalign {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


def run(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="The run folder.  [default: runs/NAME]")] = None,
    overrides: Set = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check recipe and files, start nothing.")] = False,
    rounds: Rounds = None,
    as_json: Json = False,
) -> None:
    """Run a recipe, or go on with its run."""
    from superalign.cli import run as body

    if dry_run:
        body.dry_run(recipe, overrides or [], rounds, as_json)
    else:
        body.run(recipe, out, overrides or [], rounds, as_json)


def resume(
    folder: RunDir,
    recipe: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where the recipe, with its files beside it, lies now.")
    ] = None,
    rounds: Rounds = None,
    as_json: Json = False,
) -> None:
    """Go on with a run that was stopped.

    What is finished is not done again.
    """
    from superalign.cli.run import resume

    resume(folder, recipe, rounds, as_json)


def attack(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file.", show_default=False)],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder.  [default: runs/NAME-attack]")] = None,
    model: Annotated[str | None, typer.Option(metavar="M", help="Whom to attack, instead of the recipe's.")] = None,
    adapter: Annotated[Path | None, typer.Option(metavar="A", help="Folder of a LoRA adapter on it.")] = None,
    overrides: Set = None,
    as_json: Json = False,
) -> None:
    """Only attack a model, and say what made it err.

    The attacks are those of a recipe's first round; nothing is trained.
    """
    from superalign.cli.attack import attack

    attack(recipe, out, model, adapter, overrides or [], as_json)


def show(folder: RunDir, as_json: Json = False) -> None:
    """What a run came to, round by round."""
    from superalign.cli.show import show

    show(folder, as_json)


def verify(folder: RunDir, as_json: Json = False) -> None:
    """Check that a run is as it was written.

    Every file that was altered, added or lost since is named, and the exit status is then 1.
    """
    from superalign.cli.show import verify

    raise typer.Exit(verify(folder, as_json))


def doctor(as_json: Json = False) -> None:
    """What this machine has, and what would be chosen."""
    from superalign.cli.doctor import doctor

    raise typer.Exit(doctor(as_json))


def init(folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.", show_default=False)]) -> None:
    """Make a recipe of your own to start from.

    With comments, seeds, look-alikes, an attack strategy and a held-out suite.
    """
    from superalign.cli.init import init

    init(folder)


ORDER: tuple[tuple[str, Callable[..., None]], ...] = (
    ("init", init), ("run", run), ("resume", resume), ("show", show), ("report", report), ("review", review),
    ("export", export), ("promote", promote), ("fork", fork), ("verify", verify), ("eval", evaluate),
    ("compare", compare), ("attack", attack), ("bench", bench), ("doctor", doctor),
)  # fmt: skip
"""As one comes to need them."""
for name, body in ORDER:
    app.command(name)(body)
for name, group in {
    "suites": suites_app,
    "attackers": attackers_app,
    "critic": critic_app,
    "constitution": constitution_app,
    "hazards": hazards_app,
    "models": models_app,
}.items():
    app.add_typer(group, name=name)


@contextmanager
def reported() -> Iterator[None]:
    """Every expected error inside the block ends the process with one message, never a traceback."""
    from superalign.cli.exit import StoppedError, ended

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a model's text must not fail on a narrow encoding
    try:
        yield
    except (SuperalignError, StoppedError, BrokenPipeError, ExceptionGroup) as error:
        sys.exit(ended(error))


def main() -> None:
    """The console script."""
    with reported():
        app()


if __name__ == "__main__":
    main()
