"""Declares `superalign bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from superalign.cli.options import Json, one_of

BENCHES = ("pool", "train", "loop")


def bench(
    what: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(BENCHES)}.", show_default=False)],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A=B", help="One of its settings; a wrong one names them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure speed and memory of this machine.

    pool, train, loop: each against a baseline in the same run. What the documents' other tables came from is
    `python -m benchmarks` in a clone.
    """
    from superalign.cli.bench import bench

    bench(f"superalign.bench.{one_of('NAME', what, *BENCHES)}", settings or [], as_json)
