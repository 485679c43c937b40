"""`show` and `verify`: a run folder read, never written; both work beside a run that is going on."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from superalign.cli.options import Json, RunDir
from superalign.errors import RunFolderError

if TYPE_CHECKING:
    from superalign.store.run_folder import RunFolder


def show(
    path: RunDir,
    full: Annotated[bool, typer.Option("--full", help="Every round in full: attacks, examples, limits, replies.")] = (
        False
    ),
    as_json: Json = False,
) -> None:
    """Show what a run came to, round by round.

    The verdict, a line for base and each round, and what to do next. It also works while the run goes on.
    """
    from superalign.store.run_folder import RunFolder

    with RunFolder.open(path, read_only=True) as folder:
        print_run(folder, full=full, as_json=as_json)


def print_run(folder: RunFolder, *, full: bool = False, as_json: bool = False) -> None:
    """The run as tables, or as one JSON object: the summary with `before_after` beside its fields."""
    from superalign.analysis.summary import summarise
    from superalign.cli.format import width
    from superalign.cli.text import run as text
    from superalign.report.page_data import before_after

    run = summarise(folder)
    shown = before_after(folder) if run.current is not None and (full or as_json) else []
    if as_json:
        data = run.model_dump(mode="json") | {"before_after": [case.model_dump(mode="json") for case in shown]}
        print(json.dumps(data, ensure_ascii=False, allow_nan=False))
        return
    print(textwrap.fill(text.verdict(run), width()))
    if run.rounds and run.attacked is None:
        print()
        text.print_rounds(run)
    if full or run.attacked is not None:  # attacks alone are one block
        print(f"\n{text.rounds_in_full(run, folder.resolved.get('gate'))}")
    elif lines := text.kept_out(run):
        print("\n" + "\n".join(lines))
    if shown:
        print(f"\n{text.comparison(shown, width())}")
    print("\n" + "\n".join(text.next_steps(folder, run)))


def verify(path: RunDir, as_json: Json = False) -> None:
    """Check that a run is as it was written.

    Every file that was altered, added or lost since is named, and the exit status is then 1.
    """
    from superalign.store import manifest
    from superalign.store.round_folder import LOCK, MANIFEST, ROUNDS, read_record

    if not any((path / name).exists() for name in (MANIFEST, LOCK, ROUNDS)):
        raise RunFolderError(f"{path} is not a run folder", "name a folder that `superalign run` made")
    findings = manifest.verify(path)
    rounds, head = 0, None
    if not any(finding.path == MANIFEST for finding in findings):
        chain = read_record(path / MANIFEST, manifest.Manifest)
        rounds, head = len(chain.rounds), chain.head
    if as_json:
        listed = [finding.model_dump(mode="json") for finding in findings]
        print(json.dumps({"path": str(path), "ok": not findings, "rounds": rounds, "head": head, "findings": listed}))
    elif findings:
        print("\n".join(f"{finding.kind:<8}{finding.message}" for finding in findings))
        print(f"{path}: {len(findings)} finding{'s' if len(findings) > 1 else ''}; restore the files from a copy")
    else:
        print(f"{path}\n{rounds} sealed rounds (0 is the base model), every file as it was sealed\nhead {head}")
    if findings:
        raise typer.Exit(1)
