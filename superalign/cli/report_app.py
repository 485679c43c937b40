"""`superalign report`, declared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json


def report(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.", show_default=False)],
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to.  [default: DIR/report.html]")] = None,
    as_json: Json = False,
) -> None:
    """Write a run as one HTML page for people.

    It holds the figures, the gate's reasons, every attack and every answer.
    The file asks for nothing outside itself, so it can be mailed. A run writes it too, after each round.
    """
    from superalign.cli.report import report

    report(folder, to, as_json)
