"""The training process: `python -m superalign.training.child JOB_DIR [PARENT_PID]`.

Progress goes to stdout as JSON lines, the output of libraries to JOB_DIR/log.txt, a failure to error.json with exit
status 1. A killed child that is started again on the same folder goes on from its last saved state.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from superalign.errors import SuperalignError, TrainingError
from superalign.records.training import Demonstration, PreferencePair
from superalign.store.journal import read_records
from superalign.training.job import DEMONSTRATIONS, DONE, PAIRS, TrainingJob, read_job, write_json
from superalign.training.preflight import EncodedDemonstration, EncodedPair, encode_demonstrations, encode_pairs


def run(folder: Path, emit: Any) -> None:
    """Do the job of a folder; does nothing when it is done."""
    if (folder / DONE).exists():
        return
    job = read_job(folder)
    started = time.monotonic()
    from transformers import AutoTokenizer  # not before job.json was found good: this takes seconds

    tokenizer: Any = AutoTokenizer.from_pretrained(job.base)
    if tokenizer.chat_template is None:
        raise TrainingError(f"{job.base} has no chat template", "use an instruction-tuned model")
    options, end_ids = job.options, frozenset({tokenizer.eos_token_id})
    demonstrations: list[EncodedDemonstration] = []
    pairs: list[EncodedPair] = []
    preflight = {}
    if options.method != "dpo":
        demonstrations, report = encode_demonstrations(
            list(read_records(folder / DEMONSTRATIONS, Demonstration)), tokenizer, end_ids,
            options.sft.max_length, options.max_dropped, options.sft.completion_tokens,
        )  # fmt: skip
        preflight["sft"] = report
    if options.method != "sft":
        sampled = list(read_records(folder / PAIRS, PreferencePair))
        pairs, report = encode_pairs(sampled, tokenizer, end_ids, options.dpo.max_length, options.max_dropped)
        preflight["dpo"] = report
    if not demonstrations and not pairs:
        raise TrainingError(
            f"there is nothing to train on with method {options.method}", "play more rounds or add expert examples"
        )
    emit({"stage": "preflight", "kept": len(demonstrations) + len(pairs)})
    stages, seconds = _stages(folder, job, tokenizer, demonstrations, pairs, emit)
    if not (folder / "adapter").exists():
        (folder / stages[-1]["name"] / "adapter").replace(folder / "adapter")
    with (folder / "dropped.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(drop.model_dump_json() + "\n" for report in preflight.values() for drop in report.dropped)
    counts = {name: report.model_dump(exclude={"dropped"}) for name, report in preflight.items()}
    write_json(folder / "training.json", {"method": options.method, "preflight": counts, "stages": stages})
    tokens = sum(stage["tokens"] for stage in stages)
    write_json(folder / "timing.json", {"seconds": seconds, "total_s": time.monotonic() - started, "tokens": tokens})
    (folder / DONE).touch()


def _stages(
    folder: Path,
    job: TrainingJob,
    tokenizer: Any,
    demonstrations: list[EncodedDemonstration],
    pairs: list[EncodedPair],
    emit: Any,
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """SFT, DPO or one after the other; a stage that was finished before a kill is not repeated."""
    from superalign.training.stage import Stage, StageResult

    parent = (folder / job.parent_adapter).resolve() if job.parent_adapter else None
    results, seconds = [], {}
    for name, count in (("sft", len(demonstrations)), ("dpo", len(pairs))):
        if not count:
            continue
        stage = Stage(name, job, folder / name, parent, tokenizer, emit)
        finished = stage.folder / "result.json"
        if not finished.exists():
            started = time.monotonic()
            emit({"stage": name, "step": 0})
            if name == "sft":
                from superalign.training.sft import train_sft

                result = train_sft(stage, demonstrations)
            else:
                from superalign.training.dpo import train_dpo

                result = train_dpo(stage, pairs)
            seconds[name] = time.monotonic() - started
            write_json(finished, result.model_dump())
        results.append(StageResult.model_validate_json(finished.read_text(encoding="utf-8")).model_dump(mode="json"))
        parent = stage.folder / "adapter"
    return results, seconds


def _die_with(parent: int) -> None:
    """End this process when its parent is gone: nobody would read the result."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def main(folder: Path, parent: int | None) -> int:
    """Exit status."""
    if parent is not None:
        threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    # Threads that spin at their barriers stall for whole time slices when anything else runs: measured 4 x and more.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    progress = os.fdopen(os.dup(1), "w", encoding="utf-8")
    log = (folder / "log.txt").open("a", encoding="utf-8")
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    (folder / "error.json").unlink(missing_ok=True)

    def emit(event: dict[str, Any]) -> None:
        progress.write(json.dumps(event) + "\n")
        progress.flush()

    try:
        run(folder, emit)
    except SuperalignError as error:
        write_json(folder / "error.json", {"what": error.what, "hint": error.hint})
        return 1
    except Exception as error:
        traceback.print_exc()
        write_json(folder / "error.json", {"what": f"training failed: {type(error).__name__}: {error}", "hint": ""})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None))
