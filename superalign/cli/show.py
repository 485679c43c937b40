"""`show` and `verify`: a run folder read, never written; both work beside a run that is going on."""

from __future__ import annotations

import json
from pathlib import Path

from superalign.analysis.summary import summarise
from superalign.cli.format import command, width
from superalign.cli.text.run import as_text, comparison
from superalign.errors import RunFolderError
from superalign.report.before_after import before_after
from superalign.store import manifest
from superalign.store.round_folder import LOCK, MANIFEST, ROUNDS, read_record
from superalign.store.run_folder import RunFolder


def show(path: Path, as_json: bool) -> None:
    """Every round's block, a line for each, the comparison, and what to do next."""
    with RunFolder.open(path, read_only=True) as folder:
        print_run(folder, as_json)


def print_run(folder: RunFolder, as_json: bool) -> None:
    """The run as tables, or as one JSON object: the summary with `before_after` beside its fields."""
    run = summarise(folder)
    shown = before_after(folder) if run.current is not None else []
    if as_json:
        data = run.model_dump(mode="json") | {"before_after": [case.model_dump(mode="json") for case in shown]}
        print(json.dumps(data, ensure_ascii=False, allow_nan=False))
        return
    print(as_text(run, width()))
    if shown:
        print(f"\n{comparison(shown, width())}")
    print(f"\n{closing(folder)}")


def closing(folder: RunFolder) -> str:
    """Where the run is, which checkpoint won, and the command that exports it."""
    path = folder.path
    lines = [f"run folder  {path}"]
    if "attacked" in folder.resolved:
        return "\n".join([*lines, f"attacks     {folder.round(1).exchanges}"])
    for choice in folder.choices():
        what = f"{choice.checkpoint.id} for {choice.replaced} after round {choice.after}"
        lines.append(f"by hand     {what}: {choice.reason}")
    current = folder.current() if (path / "CURRENT").exists() else None
    if current is None:
        return "\n".join([*lines, f"go on       {command('resume', path)}"])
    if current.adapter is None:
        why = (
            "the base model" if folder.choices() else "nothing yet: the base model is still the best that was measured"
        )
        return "\n".join([*lines, f"promoted    {why}"])
    to = Path("exported") / path.resolve().name
    lines.append(f"promoted    {current.id}, adapter in {path / current.adapter}")
    lines.append(f"report      {folder.report if folder.report.exists() else command('report', path)}")
    return "\n".join([*lines, f"export      {command('export', path, '--format', 'merged', '--to', to)}"])


def verify(path: Path, as_json: bool) -> int:
    """Name everything that is not as it was sealed; returns the exit status."""
    if not any((path / name).exists() for name in (MANIFEST, LOCK, ROUNDS)):
        raise RunFolderError(f"{path} is not a run folder", "name a folder that `superalign run` made")
    findings = manifest.verify(path)
    rounds, head = 0, None
    if not any(finding.path == MANIFEST for finding in findings):
        found = read_record(path / MANIFEST, manifest.Manifest)
        rounds, head = len(found.rounds), found.head
    if as_json:
        listed = [finding.model_dump(mode="json") for finding in findings]
        print(json.dumps({"path": str(path), "ok": not findings, "rounds": rounds, "head": head, "findings": listed}))
    elif findings:
        print("\n".join(f"{finding.kind:<8}{finding.message}" for finding in findings))
        print(f"{path}: {len(findings)} finding{'s' if len(findings) > 1 else ''}; restore the files from a copy")
    else:
        print(f"{path}\n{rounds} sealed rounds (0 is the base model), every file as it was sealed\nhead {head}")
    return 1 if findings else 0
