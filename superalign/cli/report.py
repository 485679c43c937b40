"""`report`: a run folder as one page for people, also while the run goes on."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json, RunDir
from superalign.errors import RunFolderError


def report(
    folder: RunDir,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Where to.  [default: DIR/report.html]")] = None,
    live: Annotated[bool, typer.Option("--live", help="Serve the page on 127.0.0.1 while the run goes on.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="For --live; 0: any that is free.")] = 0,
    as_json: Json = False,
) -> None:
    """Write a run as one HTML page for people.

    It holds the figures, the gate's reasons, every attack and every answer.
    The file asks for nothing outside itself, so it can be mailed. A run writes it too, after each round.
    With --live the page is served, follows the run and shows how far it is; nothing is written into the run folder.
    """
    from superalign.cli.format import size
    from superalign.report.page import write_report
    from superalign.store.run_folder import RunFolder

    with RunFolder.open(folder, read_only=True) as run:
        if live:
            from superalign.report.live import serve

            if to is not None or as_json:
                raise typer.BadParameter("goes with neither --to nor --json", param_hint="--live")
            serve(run, port, _announce)
            return
        target = to or run.report
        if target.is_dir() or not target.parent.is_dir():
            fault = "is a folder" if target.is_dir() else "lies in no folder that exists"
            raise RunFolderError(f"--to {target} {fault}", "name a file in a folder that exists")
        written = write_report(run, target)
    if as_json:
        print(json.dumps({"path": str(target), "bytes": written}))
    else:
        print(f"{target}: {size(written)}; open it in a browser")


def _announce(address: str) -> None:
    print(address, flush=True)
    print("open that address; the page follows the run. Ctrl-C ends.", file=sys.stderr, flush=True)
