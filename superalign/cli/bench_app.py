"""Declares `superalign bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from superalign.cli.arguments import Json, one_of

BENCHES = (
    "pool", "train", "loop", "attack", "attacker", "critic", "escalation", "injection", "gate", "review", "values",
    "effort",
)  # fmt: skip


def bench(
    what: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(BENCHES)}.", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A=B", help="One of its settings; a wrong one names them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure this machine, or what a part of the loop is worth.

    pool, train, loop: speed and memory against baselines. gate: how often it errs, `--set run=DIR`. The others: what
    searching, training the attacker, a critic, asking people, or a strategy for changed values is worth.
    """
    from superalign.cli.bench import bench

    bench(one_of("NAME", what, *BENCHES), settings or [], as_json)
