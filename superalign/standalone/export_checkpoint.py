"""A checkpoint of a run as a model of its own, with the run's figures and lineage on its card."""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from pathlib import Path
from typing import Literal

from superalign import __version__
from superalign.analysis.summary import RunSummary, summarise
from superalign.errors import ExportError
from superalign.export.export import ExportReport, Format, export
from superalign.export.model_card import ModelCardFacts, RoundFacts
from superalign.files.hashes import sha256_file
from superalign.models.packaged import PACKAGED, cache, resolve
from superalign.records.training import Checkpoint
from superalign.store.round_folder import MANIFEST, RESOLVED
from superalign.store.run_folder import RunFolder


def export_checkpoint(
    folder: RunFolder, to: Path, form: Format, number: int | None = None, dtype: Literal["float32", "base"] = "base"
) -> ExportReport:
    """Write the promoted checkpoint, or that of a round, and check it; raises ExportError as `export` does.

    number: 0 is the base model. dtype: of merged weights.
    """
    checkpoint = chosen(folder, number)
    located = folder.located(checkpoint)
    with contextlib.redirect_stderr(io.StringIO()):  # bars for a second of loading
        return export(
            str(resolve(checkpoint.base)),
            Path(located.adapter) if located.adapter else None,
            to,
            form,
            card(folder, summarise(folder), checkpoint, to.name),
            dtype=dtype,
        )


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
    for name, model in PACKAGED.items():
        if base in (name, str(cache() / name)):
            words = f"{model.about.partition(',')[0]} (from the package {model.package} {model.version})"
            return {"base_described": words, "license": model.licence.lower(), "language": "en"}
    return {"base_model": base} if is_hub and "/" in base else {"base_described": Path(base).name}


def chosen(folder: RunFolder, number: int | None) -> Checkpoint:
    """The promoted checkpoint, or that of a round; raises ExportError where the round has none."""
    if number is None:
        return folder.current()
    round_folder = folder.round(number)
    if not round_folder.checkpoint_json.exists():
        reason = f": {round_folder.failure()}" if round_folder.failure() else ""
        raise ExportError(f"{folder.path}: round {number} has no checkpoint{reason}", "name another --round, or none")
    return folder.checkpoint(number)


def _lineage(folder: RunFolder, checkpoint: Checkpoint) -> set[str]:
    """The checkpoint's id and those of all its ancestors."""
    ids, at = {checkpoint.id}, checkpoint
    while at.parent and at.parent != "base" and at.parent not in ids:
        ids.add(at.parent)
        at = folder.checkpoint(int(at.parent.rpartition("-")[2]))
    return ids


def _sha256(folder: RunFolder, number: int) -> str | None:
    return folder.checkpoint(number).sha256 if folder.round(number).checkpoint_json.exists() else None
