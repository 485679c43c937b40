"""The real command line, recipe, builder, store and loop over the scripted pool; only the training child is a toy.

A run plays in a process of its own, forked from a server that has everything imported, and may be told to die there.
What is patched is patched in that process; the product knows nothing of it.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import multiprocessing
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from superalign.cli.main import main as superalign
from superalign.loop import rollout
from superalign.loop.phases import base_answers
from superalign.pool.scripted import ScriptedPool
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Anchor, Dropped, Exchange
from superalign.store.journal import read_records
from superalign.store.round_folder import RoundFolder

PLAN = Path(__file__).parent / "plan"
RECIPE = PLAN / "recipe.yaml"
CHILD = Path(__file__).parent / "toy_child.py"
OUTSIDE = {".lock", ".holder.json", "events.jsonl", "origin.json", "timing.json", "log.txt", "report.html"}
"""Names that two runs need not have in common: who holds it, clock times, paths of this machine."""

FORK = multiprocessing.get_context("forkserver")
ROLLOUT: contextvars.ContextVar[str] = contextvars.ContextVar("WALK")


@dataclass(frozen=True)
class Fate:
    """What befalls a run.

    at: where it dies: `request N`, `line N` (half of it is written), `before PATH` and `after PATH` (a file takes its
    place in the run folder; `CURRENT 2`: for the second time), `change N` (of the disk, of either kind); or what else
    happens: `full N` (the disk has no room for that line), `hang N` (that request never ends).
    """

    at: str = ""
    child: str = ""
    """See toy_child.py."""
    jitter: int = 0
    """Seed of random delays before each reply; 0: none."""
    file_bytes: int = 0
    """The most bytes that a file may get (`ulimit -f`); 0: any."""


class Sitting:
    """One call of the command line, in its own process."""

    def __init__(self, folder: Path, *words: object, fate: Fate | None = None) -> None:
        """`folder` is where it is called, and where its output and the notes of its requests lie."""
        self.folder = folder
        self.output = folder / f"{len(list(folder.glob('*.out'))):03d}.out"
        self.notes = self.output.with_suffix(".notes")
        self.output.touch()
        arguments = [str(word) for word in words]
        self.process = FORK.Process(
            target=_act, args=(arguments, folder, self.output, self.notes, fate or Fate()), daemon=True
        )
        self.process.start()

    def until(self, condition: Callable[[], object]) -> None:
        """Wait for something that it is to bring about."""
        late = time.monotonic() + 30
        while not condition():
            assert self.process.is_alive(), self.said
            assert time.monotonic() < late, self.said
            time.sleep(0.005)

    def end(self) -> Sitting:
        """Wait for it."""
        self.process.join(120)
        if self.process.is_alive():
            self.process.kill()
            raise AssertionError(f"still running after 120 s:\n{self.said}")
        return self

    @property
    def code(self) -> int:
        code = self.process.exitcode
        assert code is not None
        return code

    @property
    def killed(self) -> bool:
        return self.code == -signal.SIGKILL

    @property
    def said(self) -> str:
        """Standard output and error."""
        return self.output.read_text(encoding="utf-8")

    def asked(self) -> list[str]:
        """Who asked for each reply: the rollout's id, or `MODEL: PROMPT` of an evaluation; and `train NNN`."""
        return self.notes.read_text(encoding="utf-8").splitlines() if self.notes.exists() else []


def play(folder: Path, *words: object, fate: Fate | None = None) -> Sitting:
    """`superalign WORDS` in `folder`, to its end."""
    return Sitting(folder, *words, fate=fate).end()


def run(folder: Path, fate: Fate | None = None, *more: object, recipe: Path = RECIPE) -> Sitting:
    """`superalign run` into `folder/run`."""
    return play(folder, "run", recipe, "--out", folder / "run", *more, fate=fate)


def resume(folder: Path, *more: object, fate: Fate | None = None) -> Sitting:
    """`superalign resume` of `folder/run`."""
    return play(folder, "resume", folder / "run", *more, fate=fate)


def contents(run: Path) -> dict[str, bytes]:
    """All that a run leaves, but for clock times and paths of the machine."""
    files = [path for path in sorted(run.rglob("*")) if path.is_file() and path.name not in OUTSIDE]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def finished(run: Path) -> set[str]:
    """What must not be asked for again: rollouts and evaluated items that are written down, adapters that are there."""
    found = set()
    for path in run.glob("rounds/*"):
        round_folder = RoundFolder(run, int(path.name))
        found |= {exchange.id for exchange in read_records(round_folder.exchanges, Exchange)}
        found |= {loss.record_id for loss in read_records(round_folder.dropped, Dropped) if loss.stage == "attack"}
        found |= {f"anchor {anchor.id}" for anchor in read_records(round_folder.anchors, Anchor)}
        name = f"round-{round_folder.number:03d}" if round_folder.number else "base"
        found |= {
            f"{name}: {item.prompt[-1].content}" for item in read_records(round_folder.evaluation_items, ItemResult)
        }
        if (round_folder.training_dir / "DONE").exists():
            found.add(f"train {path.name}")
    return found


@contextmanager
def server() -> Iterator[None]:
    """A process that has imported everything; each sitting is forked from it, in no time."""
    FORK.set_forkserver_preload(
        ["pytest", "superalign.assembly.plan", "superalign.analysis.summary", "tests.loop.toys"]
    )
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    try:
        forkserver.ensure_running()
        yield
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _act(words: list[str], folder: Path, output: Path, notes: Path, fate: Fate) -> None:
    file = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(folder)
    command = superalign
    if words[:1] == ["benchmarks"]:
        from benchmarks.__main__ import main as command
    sys.argv = ["superalign", *words] if command is superalign else words
    os.environ |= {"TOY_CHILD": fate.child, "TOY_NOTES": str(notes), "HF_HUB_OFFLINE": "1"}
    os.fsync = lambda fd: None  # type: ignore[assignment]  # a killed process loses nothing the system has taken
    _note_requests(notes, fate)
    _play_the_child()
    _strike(fate)
    try:
        command()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:
        traceback.print_exc()
        os._exit(70)
    sys.stdout.flush()
    os._exit(0)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _note_requests(notes: Path, fate: Fate) -> None:
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    write, generate, play_rollout, again = os.write, ScriptedPool.generate, rollout.play, base_answers.answer_once
    dice, deadly, endless = random.Random(fate.jitter), Countdown(fate.at, "request"), Countdown(fate.at, "hang")

    async def noted(self: ScriptedPool, model: str, messages: Any, sampling: Any) -> Any:
        asker = ROLLOUT.get("") or f"{model.partition('#')[0]}: {messages[-1].content}"
        write(file, asker.encode() + b"\n")
        if deadly.reached():
            _die()
        if endless.reached():
            await asyncio.Event().wait()
        if fate.jitter:
            await asyncio.sleep(dice.random() * 0.004)
        return await generate(self, model, messages, sampling)

    async def known(name: str, work: Any) -> Any:
        token = ROLLOUT.set(name)
        try:
            return await work
        finally:
            ROLLOUT.reset(token)

    ScriptedPool.generate = noted  # type: ignore[method-assign]

    async def known_rollout(roles: Any, step: Any, *state: Any) -> AsyncIterator[Any]:
        token = ROLLOUT.set(step.id)
        async for record in play_rollout(roles, step, *state):
            yield record
        ROLLOUT.reset(token)

    rollout.play = known_rollout
    base_answers.answer_once = lambda roles, attack: known(f"anchor {attack.id}", again(roles, attack))


def _play_the_child() -> None:
    execute = asyncio.create_subprocess_exec

    async def instead(program: str, *words: str, **options: Any) -> Any:
        if "superalign.training.child" in words:
            words = ("-I", "-S", str(CHILD), *words[words.index("superalign.training.child") + 1 :])
        return await execute(program, *words, **options)

    asyncio.create_subprocess_exec = instead


class Countdown:
    """Reaches the N-th of what `KIND ... N` names, once."""

    def __init__(self, at: str, kind: str) -> None:
        words = at.split()
        self.left = int(words[-1]) if words and words[0] == kind and words[-1].isdigit() else int(words[:1] == [kind])

    def reached(self) -> bool:
        self.left -= 1
        return self.left == 0


def _strike(fate: Fate) -> None:
    """Die, or have no room, where the disk changes."""
    if fate.file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fate.file_bytes, fate.file_bytes))
    write, replace = os.write, Path.replace
    line, full, change, before, after = (Countdown(fate.at, k) for k in ("line", "full", "change", "before", "after"))
    path = "/" + (fate.at.split() or ["", ""])[1] if fate.at else "//"

    def half(fd: int, data: Any) -> int:
        if bytes(data[:1]) != b"{":  # no line of a journal
            return write(fd, data)
        deadly = line.reached() | change.reached()
        if deadly or full.reached():
            write(fd, data[: len(data) // 2])
            if deadly:
                _die()
            full.left = 1  # and stays full
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data)

    def take_place(source: Path, target: Path) -> Path:
        here = Path(target).as_posix().endswith(path)
        if change.reached() or (here and before.reached()):
            _die()
        result = replace(source, target)
        if change.reached() or (here and after.reached()):
            _die()
        return result

    os.write = half  # type: ignore[assignment]
    Path.replace = take_place  # type: ignore[assignment, method-assign]
