"""Declares `superalign attackers ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json, one_of

app = typer.Typer(
    help="Attack strategies, prompt files and plug-ins of your own.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
What = Annotated[
    str,
    typer.Argument(metavar="PATH", help="A file, a folder, hub:OWNER/NAME, a plug-in, a strategy.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A=B", help="As in a recipe's `seeds`: intent=harmful, columns.goal=Behavior."),
]
Mix = Annotated[str | None, typer.Option(metavar="A,B+C", help="Strategies for the goals.  [default: direct]")]
Number = Annotated[int, typer.Option("--n", min=1, metavar="N", help="How many.")]


@app.command("list")
def attackers_list(as_json: Json = False) -> None:
    """Every strategy: how it works, its style, what it does.

    Those that ship, lie in this folder's `strategies/`, or come from installed packages. render: a template; write: an
    LLM words it; refine: it tries again with reply and critique; dialogue: several turns.
    """
    from superalign.cli.attackers import list_strategies

    list_strategies(as_json)


@app.command()
def validate(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders, plug-ins, strategies.", show_default=False)
    ],
    fields: Set = None,
    as_json: Json = False,
) -> None:
    """Check everything in prompt files and plug-ins.

    Every fault of every file is named with its line, and the exit status is then 1.
    """
    from superalign.cli.attackers import validate

    raise typer.Exit(validate(paths, fields or [], as_json))


@app.command()
def preview(path: What, n: Number = 5, mix: Mix = None, fields: Set = None, as_json: Json = False) -> None:
    """Show a few attacks as they would be sent; no model is started."""
    from superalign.cli.attackers import preview

    preview(path, n, mix, fields or [], as_json)


@app.command("test")
def try_out(
    path: What,
    model: Annotated[str, typer.Option(metavar="M", help="A known name, a folder or a hub id.", show_default=False)],
    adapter: Annotated[Path | None, typer.Option(metavar="A", help="Folder of a LoRA adapter.")] = None,
    n: Number = 5,
    mix: Mix = None,
    fields: Set = None,
    judge: Annotated[str, typer.Option(metavar="rules|probe", help="Who judges the replies.")] = "rules",
    pool: Annotated[str, typer.Option(metavar="auto|vllm|transformers", help="The engine.")] = "auto",
    as_json: Json = False,
) -> None:
    """Send a few attacks to a model; show replies and verdicts."""
    from superalign.cli.attackers import Wanted, try_out

    wanted = Wanted(
        path=path,
        mix=mix,
        fields=tuple(fields or ()),
        n=n,
        model=model,
        adapter=adapter,
        judge=one_of("--judge", judge, "rules", "probe"),
        pool=one_of("--pool", pool, "auto", "vllm", "transformers"),
    )
    try_out(wanted, as_json)
