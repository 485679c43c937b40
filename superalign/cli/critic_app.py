"""Declares `superalign critic ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json, one_of

app = typer.Typer(help="The critic: how far it can be trusted.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    pass  # with it, the one command keeps its name


@app.command()
def calibrate(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file.", show_default=False)],
    labels: Annotated[
        Path, typer.Option(metavar="FILE", help="Replies that people labelled: JSONL or CSV.", show_default=False)
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN[,...]",
            help="prompt, reply, goal, hazard, intent, id; harm, refusal, request: one column a person. Repeatable.",
        ),
    ] = None,
    who: Annotated[str, typer.Option("--critic", metavar="critic|judge", help="Which of the recipe's.")] = "critic",
    guarantee: Annotated[
        float | None, typer.Option(metavar="P", help="Abstain where agreement with people of P can't be promised.")
    ] = None,
    delta: Annotated[float, typer.Option(metavar="P", help="How improbable a broken promise must be.")] = 0.05,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="For the recipe's `critic_calibration`.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Set one field of the recipe.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure a recipe's critic on replies that people labelled.

    Agreement, error rates and calibration, in all and by hazard, with 95 % intervals.
    """
    for option, value in (("--guarantee", guarantee), ("--delta", delta)):
        if value is not None and not 0 < value < 1:
            raise typer.BadParameter(f"{value:g} is not between 0 and 1", param_hint=option)
    from superalign.cli.critic import Wanted, calibrate

    wanted = Wanted(
        recipe=recipe,
        labels=labels,
        columns=tuple(columns or ()),
        who="judge" if one_of("--critic", who, "critic", "judge") == "judge" else "critic",
        guarantee=(guarantee, delta) if guarantee is not None else None,
        out=out,
        overrides=tuple(overrides or ()),
    )
    calibrate(wanted, as_json)
