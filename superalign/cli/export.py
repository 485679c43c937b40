"""`export`: a checkpoint of a run as a model of its own, or what it was trained on as rows for TRL."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Literal, cast

import typer

from superalign.api.run_view import RowKind, open_run
from superalign.cli.format import command, seconds, size
from superalign.cli.options import Json, RunDir, one_of
from superalign.errors import ExportError
from superalign.store.atomic import write_atomic
from superalign.store.run_folder import RunFolder


def export(
    path: RunDir,
    form: Annotated[
        str, typer.Option("--format", metavar="merged|adapter|trl", help="Whole weights, LoRA alone, or rows for TRL.")
    ],
    to: Annotated[Path, typer.Option(metavar="PATH", help="A new folder; of rows: a new file.", show_default=False)],
    number: Annotated[
        int | None,
        typer.Option("--round", min=0, metavar="N", help="This round's checkpoint.  [default: the promoted one]"),
    ] = None,
    dtype: Annotated[
        str, typer.Option(metavar="base|float32", help="Of merged weights; base: as the base has them.")
    ] = "base",
    rows: Annotated[str, typer.Option(metavar="pairs|demonstrations", help="Which rows, with --format trl.")] = "pairs",
    as_json: Json = False,
) -> None:
    """Write a checkpoint as a model of its own.

    transformers and vLLM load it; its logits are held against those of the checkpoint that was evaluated. Round 0 is
    the base model. trl: the preference pairs or demonstrations, as JSONL that DPOTrainer or SFTTrainer takes.
    """
    one_of("--format", form, "merged", "adapter", "trl")
    one_of("--dtype", dtype, "base", "float32")
    one_of("--rows", rows, "pairs", "demonstrations")
    if form == "trl":
        _export_rows(path, to, number, cast("RowKind", rows), as_json)
        return
    from superalign.standalone.export_checkpoint import chosen, export_checkpoint

    with RunFolder.open(path, read_only=True) as folder:
        started, checkpoint = time.monotonic(), chosen(folder, number)
        print(f"exporting {checkpoint.id} of {path} as {form}, and checking it", file=sys.stderr, flush=True)
        report = export_checkpoint(
            folder,
            to,
            cast("Literal['merged', 'adapter']", form),
            number,
            cast("Literal['float32', 'base']", dtype),
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


def _export_rows(path: Path, to: Path, number: int | None, rows: RowKind, as_json: bool) -> None:
    if to.exists():
        raise ExportError(f"{to} exists already", "name a new file with --to")
    lines = open_run(path).to_trl(rows, number)
    if not lines:
        raise ExportError(f"{path}: no {rows} there", "name another --round, or --rows pairs or demonstrations")
    to.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(to, (json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines))
    if as_json:
        print(json.dumps({"path": str(to), "rows": len(lines)}))
        return
    trainer = "DPOTrainer" if rows == "pairs" else "SFTTrainer"
    print(f"{to}  {len(lines)} {rows}; load_dataset('json', data_files={str(to)!r}) gives what TRL's {trainer} takes")
