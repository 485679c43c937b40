"""Runs a training job in a child process, so that its memory goes back and its crash is a message."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from superalign.errors import TrainingError, TrainingStopped
from superalign.files.hashes import sha256_file
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.store.atomic import ADAPTER_WEIGHTS, write_atomic
from superalign.training.job import DONE, read_job, write_job
from superalign.training.options import TrainingOptions

Progress = Callable[[dict[str, Any]], None]
LOG_LINES = 12


@dataclass
class ChildTrainer:
    """A `Trainer` for a run folder: job in rounds/NNN/training/, result in rounds/NNN/adapter/ as `round-NNN`.

    With a role the job is in rounds/NNN/ROLE/training/ and the result in rounds/NNN/ROLE/adapter/ as `ROLE-NNN`.
    A round whose training is DONE is not trained again; one that was killed goes on from its last saved state.
    """

    options_of: Callable[[int], TrainingOptions]
    """Gives a round's options."""
    base: str
    run_folder: Path
    seed: int
    progress: Progress | None = None
    """Gets {stage, step, steps, loss} after each step."""
    role: str | None = field(default=None, kw_only=True)

    async def train(
        self, demonstrations: Sequence[Demonstration], pairs: Sequence[PreferencePair], parent: Checkpoint, round: int
    ) -> Checkpoint:
        """Train a candidate; raises TrainingError with the incumbent untouched, TrainingStopped when it was killed."""
        folder = self.run_folder / "rounds" / f"{round:03d}" / (self.role or "") / "training"
        adapter = folder.parent / "adapter"
        await asyncio.to_thread(self._prepare, folder, demonstrations, pairs, parent, round)
        if not (folder / DONE).exists():
            await self._run_child(folder)
        if (folder / "adapter").exists():
            (folder / "adapter").replace(adapter)
        # beside the adapter it is part of the round's hash chain; it holds no clock times
        write_atomic(folder.parent / "training.json", (folder / "training.json").read_text(encoding="utf-8"))
        weights = adapter / ADAPTER_WEIGHTS
        if not weights.exists():
            raise TrainingError(f"{weights} is missing though training is done", f"delete {folder} to train again")
        return Checkpoint(
            id=f"{self.role or 'round'}-{round:03d}",
            base=parent.base,
            adapter=adapter.relative_to(self.run_folder).as_posix(),
            parent=parent.id,
            sha256=await asyncio.to_thread(sha256_file, weights),
        )

    def _prepare(
        self,
        folder: Path,
        demonstrations: Sequence[Demonstration],
        pairs: Sequence[PreferencePair],
        parent: Checkpoint,
        round: int,
    ) -> None:
        """Write the job, unless the same one is there already."""
        options = self.options_of(round)
        seed = options.seed if options.seed is not None else (self.seed * 1_000_003 + round) % 2**31
        parent_adapter = self.run_folder / parent.adapter if parent.adapter else None
        fresh = folder.with_name("training.new")
        shutil.rmtree(fresh, ignore_errors=True)
        job = write_job(fresh, self.base, parent_adapter, seed, options, demonstrations, pairs)
        if (folder / "job.json").exists():
            if read_job(folder) == job:
                shutil.rmtree(fresh)
                return
            if (folder / DONE).exists():
                raise TrainingError(
                    f"{folder} holds a finished training on other examples or options",
                    f"delete {folder.parent} to train round {round} again",
                )
            shutil.rmtree(folder)
        fresh.replace(folder)

    async def _run_child(self, folder: Path) -> None:
        environment = os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "0"}
        if Path(self.base).is_dir():
            environment["HF_HUB_OFFLINE"] = "1"
        environment.pop("OMP_NUM_THREADS", None)  # set for the engine; the child takes the cores it may use
        with (folder / "log.txt").open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "superalign.training.child", str(folder), str(os.getpid())),
                stdin=asyncio.subprocess.DEVNULL, stdout=PIPE, stderr=log, env=environment, start_new_session=True,
            )  # fmt: skip
        try:
            assert child.stdout is not None
            async for line in child.stdout:
                if self.progress is not None:
                    self.progress(json.loads(line))
            status = await child.wait()
        finally:
            _kill(child)
            await child.wait()
        if status != 0 or not (folder / DONE).exists():
            raise _failure(folder, status)


def _kill(child: Process) -> None:
    if child.returncode is None:
        os.killpg(child.pid, signal.SIGKILL)  # its own group, so helpers of the data loader go with it


def _failure(folder: Path, status: int) -> TrainingError | TrainingStopped:
    """The child's own error, or else its exit status with the end of its log."""
    error = folder / "error.json"
    if status == 1 and error.exists():
        failure = json.loads(error.read_text(encoding="utf-8"))
        return TrainingError(failure["what"], failure["hint"] or f"see {folder / 'log.txt'}")
    lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    end = "\n".join(["", *lines]) if lines else ""
    if status < 0:
        cause = ", most likely for want of memory" if status == -signal.SIGKILL else ""
        return TrainingStopped(
            f"the training process was killed ({signal.Signals(-status).name}){cause}{end}",
            "resume goes on from its last saved state; if memory is short, start a run with a smaller training "
            "batch_size or max_length, or with gradient_checkpointing: true",
        )
    return TrainingError(f"the training process ended with exit status {status}{end}", f"see {folder / 'log.txt'}")
