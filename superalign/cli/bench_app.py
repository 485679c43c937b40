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
    what: Annotated[str, typer.Argument(metavar="|".join(BENCHES), show_default=False)],
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="A=B", help="One of its settings.")] = None,
    as_json: Json = False,
) -> None:
    """Measure the engine, the training or the loop."""
    from superalign.cli.bench import bench

    bench(one_of("|".join(BENCHES), what, *BENCHES), settings or [], as_json)
