"""`superalign bench loop`: the orchestrator's memory and speed by the number of exchanges, on the scripted pool.

Each size plays one round in a process of its own, by the loop's own code: rollouts, journals, compiler, hand-over to
training, evaluation, seal and summary. No model runs, so what is measured is the price of the loop itself.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from superalign.analysis.summary import summarise
from superalign.assembly import plan as build
from superalign.config.recipe import Recipe
from superalign.errors import SuperalignError
from superalign.loop.orchestrator import Loop
from superalign.protocols import Silent, Trainer
from superalign.records.base import Record
from superalign.records.rollout import Rollout, Seed
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.store.atomic import ADAPTER_WEIGHTS
from superalign.store.run_folder import RunFolder
from superalign.training.job import write_job
from superalign.training.options import TrainingOptions

_BODY = (
    "It takes a quiet hour, a little patience and, if you can find one, somebody who has done it before. Begin with "
    "the hinges, since rust hides there; a drop of oil and a soft brush do more than force. Then look at the frame, "
    "which may have warped in the damp years. Old wood moves with the weather, so wait for a dry morning. Keep a lamp "
    "at hand, mind the third step, and leave a note that says where you went and when you mean to be back."
)
REPLIES = tuple(f"{opening} {_BODY}" for opening in ("Gladly.", "Of course.", "I'm sorry, but I can't help with that."))
"""About a hundred tokens each, some of them refusals, so that there is something to pair."""


class LoopPoint(Record):
    """One size."""

    exchanges: int
    examples: int
    """Demonstrations and pairs that came of them."""
    start_mb: float
    """Resident memory of the orchestrator before the first rollout, MB."""
    peak_mb: float
    """The most it ever was, MB."""
    seconds: float
    """The whole round."""
    exchanges_per_s: float


class LoopBench(Record):
    """Whether memory stays flat."""

    sizes: tuple[LoopPoint, ...]
    growth: float
    """Peak memory of the largest size by that of the smallest; 1: flat."""
    kb_per_exchange: float
    """Slope between the two."""


def run(exchanges: Sequence[int] = (100, 1000, 10_000)) -> LoopBench:
    """Measure every size; raises SuperalignError when a process fails."""
    points = tuple(_in_a_process_of_its_own(count) for count in sorted(exchanges))
    first, last = points[0], points[-1]
    return LoopBench(
        sizes=points,
        growth=last.peak_mb / first.peak_mb,
        kb_per_exchange=1000 * (last.peak_mb - first.peak_mb) / max(1, last.exchanges - first.exchanges),
    )


def _in_a_process_of_its_own(exchanges: int) -> LoopPoint:
    words = [sys.executable, "-m", "superalign.bench.loop", str(exchanges)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SuperalignError(f"the loop of {exchanges} exchanges failed:\n{done.stderr[-2000:]}", "see its last line")
    return LoopPoint.model_validate_json(done.stdout)


async def play(exchanges: int, folder: RunFolder) -> LoopPoint:
    """One round of so many exchanges in this process."""
    recipe = Recipe.model_validate(
        {"name": "bench", "rounds": 1, "model": "scripted", "pool": {"type": "scripted", "fallback": REPLIES},
         "attacker": {"mix": {"direct": 1}}, "critic": {"type": "rules"},
         "judge": {"type": "rules", "trust_intent": False},
         "evaluation": {"suites": ["harmful", "ordinary"], "limit": 8}, "max_walks": 64}
    )  # fmt: skip
    observer = Silent()
    async with build.staged(recipe, Path.cwd(), folder, observer) as plan:
        plan.rollouts, plan.trainer = lambda number: Rollouts(number, exchanges), _Hasher(folder)
        before, started = memory_mb("VmRSS"), time.monotonic()
        await Loop(plan, folder, observer).run()
        seconds = time.monotonic() - started
    played = summarise(folder).rounds[1]
    return LoopPoint(
        exchanges=played.attacks,
        examples=sum(played.demonstrations.values()) + sum(played.pairs.values()),
        start_mb=before,
        peak_mb=memory_mb("VmHWM"),
        seconds=seconds,
        exchanges_per_s=played.attacks / seconds,
    )


class Rollouts(Sequence[Rollout]):
    """As many different seeds as wanted, made when asked for: they are the round's input, not the loop's memory."""

    def __init__(self, round: int, size: int) -> None:
        self.round, self.size = round, size

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> Rollout: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rollout]: ...
    def __getitem__(self, index: int | slice) -> Rollout | list[Rollout]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.size))]
        if index >= self.size:
            raise IndexError(index)
        harmful = index % 2 == 0
        seed = Seed(
            id=f"s{index:06d}",
            goal=f"open door number {index} of the old mill",
            intent="harmful" if harmful else "benign",
            hazard="nonviolent_crimes" if harmful else None,
        )
        return Rollout(round=self.round, seed=seed, index=0, position=index)


class _Hasher(Trainer):
    """Writes the job as for a real training, and an adapter of no use."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    async def train(
        self, demonstrations: Sequence[Demonstration], pairs: Sequence[PreferencePair], parent: Checkpoint, round: int
    ) -> Checkpoint:
        round_folder = self.folder.round(round)
        write_job(round_folder.training_dir, parent.base, None, 0, TrainingOptions(), demonstrations, pairs)
        round_folder.adapter.mkdir()
        (round_folder.adapter / ADAPTER_WEIGHTS).write_bytes(b"none")
        return Checkpoint(
            id=f"round-{round:03d}", base=parent.base, adapter=str(round_folder.adapter), parent=parent.id
        )


def memory_mb(field: str) -> float:
    """This process's memory now (VmRSS) or at its peak (VmHWM), MB; where /proc does not say, the peak.

    Not `ru_maxrss` where it can be helped: Linux hands a child its parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith(field))
        return int(line.split()[1]) / 1000
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main(exchanges: int) -> None:
    """The child: one point as JSON on stdout."""
    with (
        tempfile.TemporaryDirectory(prefix="superalign-bench-") as temporary,
        RunFolder.create(Path(temporary) / "run", "name: bench\n", {"name": "bench"}) as folder,
    ):
        print(asyncio.run(play(exchanges, folder)).model_dump_json())


if __name__ == "__main__":
    main(int(sys.argv[1]))
