"""A toy of the orchestrator: it rollouts the same steps over the run folder, without a model."""

from __future__ import annotations

import hashlib
import os
import random
from collections.abc import Callable
from pathlib import Path

from superalign.records.evaluation import Evaluation, ItemResult, Promotion
from superalign.records.exchange import Answer, Dropped, Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Message, Seed
from superalign.records.training import Checkpoint
from superalign.store.atomic import write_atomic, write_json
from superalign.store.journal import Events, Journal, write_records
from superalign.store.manifest import RunInputs
from superalign.store.round_folder import MANIFEST, RoundFolder
from superalign.store.run_folder import RunFolder

RESOLVED = {"rounds": 2, "training": {"dpo": {"beta": 0.1}}, "seeds": ["a.yaml", "b.yaml"]}
SEEDS = 5
BASE = Checkpoint(id="base", base="smollm2-135m")


def exchange(round: int, index: int, text: str = "no\u2028thanks \u00e9\u0085\n") -> Exchange:
    seed = Seed(id=f"s{index}", goal="kill a zombie process", intent="benign")
    messages = (Message(role="user", content=text),)
    attack = Attack(
        id=f"{round}/{seed.id}/0", seed=seed, strategy="direct", strategy_sha256="0" * 64, messages=messages
    )
    answer = Answer(generation=Generation(text=text, num_tokens=3, logprob=-1.25))
    return Exchange(id=attack.id, round=round, attack=attack, answers=(answer,))


def evaluate(round_folder: RoundFolder, checkpoint: Checkpoint, rng: random.Random) -> None:
    if round_folder.evaluation_json.exists():
        return
    verdict = Verdict(critic="rule", request_harmful=None, refusal="none", harm=0.0, score=1.0)
    with Journal(round_folder.evaluation_items, ItemResult) as journal:
        known = {item.item for item in journal}
        for name in rng.sample(["x", "y", "z"], 3):
            if name not in known:
                reply = Generation(text=name, num_tokens=1)
                journal.append(ItemResult(suite="toy", item=name, prompt=(), reply=reply, verdict=verdict))
    round_folder.sort_journals()
    write_json(round_folder.evaluation_json, Evaluation(checkpoint=checkpoint.id, judge="rule", suites=()))


def play(round_folder: RoundFolder, rng: random.Random) -> None:
    with Journal(round_folder.exchanges, Exchange) as journal, Journal(round_folder.dropped, Dropped) as dropped:
        known = {done.id for done in journal}
        for index in rng.sample(range(SEEDS), SEEDS):
            record = exchange(round_folder.number, index)
            if record.id not in known:
                if index == 0:
                    dropped.append(Dropped(stage="revise", record_id=record.id, reason="empty"))
                journal.append(record)
    round_folder.sort_journals()


def toy_run(path: Path, order: int = 0, promoted: tuple[bool, ...] = (True, False)) -> None:
    """Create or continue a run, to its end; `order` is the order of completion."""
    rng = random.Random(order)
    exists = (path / MANIFEST).exists()
    folder = RunFolder.open(path) if exists else RunFolder.create(path, "rounds: 2\n", RESOLVED, RunInputs())
    with folder:
        events = Events(folder.events)
        events.append("phase", order=order)
        if not folder.round(0).is_done:
            evaluate(folder.round(0), BASE, rng)
            folder.finish_round(0, candidate=BASE)
        for number in range(folder.next_round, len(promoted) + 1):
            round_folder = folder.round(number)
            incumbent = folder.incumbent(round_folder.number)
            if not round_folder.pairs.exists():
                play(round_folder, rng)
                write_records(round_folder.demonstrations, [])
                write_records(round_folder.pairs, [])
            if not round_folder.checkpoint_json.exists():
                round_folder.adapter.mkdir(exist_ok=True)
                write_atomic(
                    round_folder.adapter / "adapter_model.safetensors", hashlib.sha256(bytes([number])).digest()
                )
                write_json(round_folder.adapter / "adapter_config.json", {"r": 8})
                candidate = BASE.model_copy(
                    update={"id": f"round-{number:03d}", "adapter": str(round_folder.adapter), "parent": incumbent.id}
                )
                folder.write_candidate(number, candidate)
            candidate = folder.checkpoint(number)
            evaluate(round_folder, candidate, rng)
            decision = Promotion(
                candidate=candidate.id,
                incumbent=incumbent.id,
                promoted=promoted[number - 1],
                reason="toy",
                checks=(),
            )
            folder.finish_round(number, decision, candidate)
        events.close()


def contents(path: Path) -> dict[str, bytes]:
    """All that a run leaves, except the lock and the events."""
    outside = {".lock", ".holder.json", "events.jsonl"}
    files = [file for file in path.rglob("*") if file.is_file() and file.name not in outside]
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in sorted(files)}


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process, without the price of a new interpreter; returns its wait status."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]
