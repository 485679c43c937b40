"""`export`: a checkpoint of a run as a model of its own, with a card that says where it came from."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Literal, cast

from superalign import __version__
from superalign.analysis.summary import RunSummary, summarise
from superalign.cli.format import command, seconds, size
from superalign.errors import ExportError
from superalign.export.model_card import ModelCardFacts, RoundFacts
from superalign.records.training import Checkpoint
from superalign.store.atomic import sha256_file
from superalign.store.round_folder import MANIFEST, RESOLVED
from superalign.store.run_folder import RunFolder


def export(path: Path, form: str, to: Path, number: int | None, dtype: str, as_json: bool) -> None:
    """Write the promoted checkpoint, or that of a round; 0 is the base model."""
    with RunFolder.open(path, read_only=True) as folder:
        checkpoint = _chosen(folder, number)
        run = summarise(folder)
        located = folder.located(checkpoint)
        from superalign.export import export as exporter
        from superalign.models.packaged import resolve

        started = time.monotonic()
        print(f"exporting {checkpoint.id} of {path} as {form}, and checking it", file=sys.stderr, flush=True)
        with contextlib.redirect_stderr(io.StringIO()):  # bars for a second of loading
            report = exporter.export(
                str(resolve(checkpoint.base)),
                Path(located.adapter) if located.adapter else None,
                to,
                cast("Literal['merged', 'adapter']", form),
                card(folder, run, checkpoint, to.name),
                dtype=cast("Literal['float32', 'base']", dtype),
            )
    if as_json:
        print(json.dumps(report.model_dump(mode="json")))
        return
    print(f"{to}  {size(report.size_bytes)}, {report.dtype}, in {seconds(time.monotonic() - started)}")
    print(
        f"checked  largest difference of a logit {report.max_abs_diff:.2g} over {report.positions} positions, "
        f"the likeliest token differs at {report.argmax_flips}"
    )
    if form == "merged":
        print(f"measure  {command('eval', '--model', to, '--suite', 'harmful', '--suite', 'lookalike')}")


def card(folder: RunFolder, run: RunSummary, checkpoint: Checkpoint, name: str) -> ModelCardFacts:
    """The figures and the lineage of a run, as the model card tells them."""
    lineage = _lineage(folder, checkpoint)
    rounds = [summary for summary in run.rounds if summary.promotion is not None]
    origins: Counter[str] = Counter()
    for summary in run.rounds:
        if f"round-{summary.round:03d}" in lineage:
            origins.update(summary.pairs)
            origins.update(summary.demonstrations)
    evaluations = {f"round-{s.round:03d}" if s.round else "base": s.evaluation for s in run.rounds}
    is_hub = not Path(checkpoint.base).is_absolute()
    facts = {
        "name": name,
        "checkpoint": checkpoint.id,
        "run": run.name,
        "version": __version__,
        "evaluation": evaluations.get(checkpoint.id),
        "baseline": evaluations.get("base") if checkpoint.id != "base" else None,
        "pairs": dict(sorted(origins.items())),
        "hashes": {file: sha256_file(folder.path / file) for file in (RESOLVED, MANIFEST)},
        "rounds": tuple(
            RoundFacts(
                number=summary.round,
                checkpoint=summary.promotion.candidate,
                promoted=summary.promotion.promoted,
                reason=summary.promotion.reason,
                sha256=_sha256(folder, summary.round),
                num_examples=sum(summary.pairs.values()) + sum(summary.demonstrations.values()),
            )
            for summary in rounds
            if summary.promotion is not None
        ),
    }
    return ModelCardFacts.model_validate(facts | _described(checkpoint.base, is_hub))


def _described(base: str, is_hub: bool) -> dict[str, object]:
    """What is known of the base: its package, or its hub id."""
    from superalign.models.packaged import PACKAGED, cache

    for name, model in PACKAGED.items():
        if base in (name, str(cache() / name)):
            words = f"{model.about.partition(',')[0]} (from the package {model.package} {model.version})"
            return {"base_described": words, "license": model.licence.lower(), "language": "en"}
    return {"base_model": base} if is_hub and "/" in base else {"base_described": Path(base).name}


def _chosen(folder: RunFolder, number: int | None) -> Checkpoint:
    if number is None:
        return folder.current()
    round_folder = folder.round(number)
    if not round_folder.checkpoint_json.exists():
        why = f": {round_folder.failure()}" if round_folder.failure() else ""
        raise ExportError(f"{folder.path}: round {number} has no checkpoint{why}", "name another --round, or none")
    return folder.checkpoint(number)


def _lineage(folder: RunFolder, checkpoint: Checkpoint) -> set[str]:
    """The checkpoint's id and those of all its ancestors."""
    found, at = {checkpoint.id}, checkpoint
    while at.parent and at.parent != "base" and at.parent not in found:
        found.add(at.parent)
        at = folder.checkpoint(int(at.parent.rpartition("-")[2]))
    return found


def _sha256(folder: RunFolder, number: int) -> str | None:
    return folder.checkpoint(number).sha256 if folder.round(number).checkpoint_json.exists() else None
