"""Declares what is done with a run's rounds: `superalign export`, `promote` and `fork`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json, one_of

RunDir = Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.", show_default=False)]


def export(
    folder: RunDir,
    form: Annotated[str, typer.Option("--format", metavar="merged|adapter", help="Whole weights, or LoRA alone.")],
    to: Annotated[Path, typer.Option(metavar="PATH", help="A new folder.", show_default=False)],
    number: Annotated[
        int | None,
        typer.Option("--round", min=0, metavar="N", help="This round's checkpoint.  [default: the promoted one]"),
    ] = None,
    dtype: Annotated[
        str, typer.Option(metavar="base|float32", help="Of merged weights; base: as the base has them.")
    ] = "base",
    as_json: Json = False,
) -> None:
    """Write a checkpoint as a model of its own.

    transformers and vLLM load it; its logits are held against those of the checkpoint that was evaluated.
    """
    from superalign.cli.export import export

    export(
        folder,
        one_of("--format", form, "merged", "adapter"),
        to,
        number,
        one_of("--dtype", dtype, "base", "float32"),
        as_json,
    )


def promote(
    folder: RunDir,
    number: Annotated[int, typer.Option("--round", min=0, metavar="N", help="Its checkpoint; 0: the base model.")],
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept in the hash chain.")],
    as_json: Json = False,
) -> None:
    """Promote any round's checkpoint by hand: the way back.

    Whatever the gate said. The next round starts from it, and export and show follow. No round may be under way.
    """
    from superalign.cli.promote_fork import promote

    promote(folder, number, reason, as_json)


def fork(
    folder: RunDir,
    number: Annotated[int, typer.Option("--from", min=0, metavar="N", help="The last round to take over.")],
    out: Annotated[Path, typer.Option(metavar="DIR2", help="A new run folder.")],
    recipe: Annotated[
        Path | None, typer.Option(metavar="RECIPE", help="Another recipe.  [default: the run's own]")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Set one field of the recipe.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on after any round, in another folder or recipe.

    Model, suites and judge stay, so that the gate can compare; `superalign resume DIR2` plays the next rounds.
    """
    from superalign.cli.promote_fork import fork

    fork(folder, number, out, recipe, overrides or [], as_json)
