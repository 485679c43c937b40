"""Declares `superalign review`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def review(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A run folder.", show_default=False)],
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="0: any that is free.")] = 0,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where to listen.")] = "127.0.0.1",
    author: Annotated[str | None, typer.Option(metavar="NAME", help="Who judges.  [default: the user's name]")] = None,
    reveal: Annotated[
        str, typer.Option(metavar="after|before", help="Show the critic's verdict after you judged, or before.")
    ] = "after",
    source: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Take labels from it; no page.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write what there is to label, and labels; no page.")
    ] = None,
    form: Annotated[str | None, typer.Option("--format", metavar="jsonl|csv", help="[default: by the ending]")] = None,
) -> None:
    """Judge the answers of a run that are most worth it.

    A page for this machine's browser, driven by single keys; every label is in labels.jsonl at once.
    """
    from superalign.cli.review import Wanted, review

    review(Wanted(folder, port, host, author, reveal, source, target, form))
