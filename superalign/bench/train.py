"""`superalign bench train`: our DPO path against DPOTrainer with its defaults, on the same pairs and steps."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from superalign.errors import TrainingError
from superalign.models.packaged import resolve
from superalign.records.base import Record
from superalign.records.rollout import Message
from superalign.records.training import PreferencePair, Target
from superalign.training.job import write_job
from superalign.training.options import DpoOptions, TrainingOptions

TOPICS = (
    "sourdough bread", "the tides", "a bicycle chain", "compound interest", "house plants", "chess openings",
    "night trains", "the water cycle", "knitting a scarf", "a job interview", "backups", "a balcony garden",
)  # fmt: skip
SENTENCES = (
    "Begin with what you have at hand and add the rest later.",
    "Most people get this wrong because they hurry.",
    "A short list helps: what it is, why it matters, and what to do next.",
    "If in doubt, ask somebody who has done it before.",
    "Measure twice, write the figures down, and compare them after a week.",
    "It costs little, takes an afternoon, and can be undone.",
)


class TrainBench(Record):
    """Both sides of one comparison; a pair's tokens are prompt + chosen and prompt + rejected, padding not counted."""

    model: str
    pairs: int
    steps: int
    batch_size: int
    tokens: int
    """Trained by each side."""
    ours_s: float
    """From loading the model to the last step, the reference's forward passes included."""
    plain_s: float
    """The same for DPOTrainer with defaults (bfloat16 autocast, gradient checkpointing, shuffled batches)."""
    ours_tokens_per_s: float
    plain_tokens_per_s: float
    ratio: float
    """ours_tokens_per_s / plain_tokens_per_s; the goal is 1.5."""
    ours_loss: float
    """Mean DPO loss over 32 of the pairs after training, in float32."""
    plain_loss: float
    loss_difference: float


def _to_stderr(text: str) -> None:
    print(f"training: {text}", file=sys.stderr, flush=True)


def run(
    model: str = "smollm2-135m",
    *,
    num_pairs: int = 48,
    steps: int = 10,
    batch_size: int = 4,
    learning_rate: float = 3e-5,  # ends at a loss that can be compared, neither at 0 nor at log 2
    dtype: str = "auto",
    progress: Callable[[str], None] = _to_stderr,
) -> TrainBench:
    """Train both ways, one after the other; raises TrainingError when a side fails."""
    dpo = DpoOptions(max_steps=steps, batch_size=batch_size, learning_rate=learning_rate)
    options = TrainingOptions.model_validate({"method": "dpo", "dpo": dpo.model_dump(), "dtype": dtype})
    base = str(resolve(model))
    with tempfile.TemporaryDirectory(prefix="superalign-bench-") as temporary:
        folder = Path(temporary)
        write_job(folder, base, None, 1, options, [], make_pairs(num_pairs))
        progress("superalign")
        _child("superalign.training.child", str(folder))
        progress("DPOTrainer with defaults")
        _child("superalign.bench.plain_dpo", str(folder))
        progress("final losses")
        adapters = str(folder / "adapter"), str(folder / "plain" / "adapter")
        ours_loss, plain_loss = json.loads(_child("superalign.bench.plain_dpo", str(folder), "loss", *adapters))
        timing = json.loads((folder / "timing.json").read_text(encoding="utf-8"))
        plain_s = json.loads((folder / "plain.json").read_text(encoding="utf-8"))["seconds"]
    ours_s, tokens = timing["seconds"]["dpo"], timing["tokens"]
    return TrainBench(
        model=model,
        pairs=num_pairs,
        steps=steps,
        batch_size=batch_size,
        tokens=tokens,
        ours_s=ours_s,
        plain_s=plain_s,
        ours_tokens_per_s=tokens / ours_s,
        plain_tokens_per_s=tokens / plain_s,
        ratio=plain_s / ours_s,
        ours_loss=ours_loss,
        plain_loss=plain_loss,
        loss_difference=ours_loss - plain_loss,
    )


def make_pairs(n: int) -> list[PreferencePair]:
    """Pairs of varied lengths: short and long questions, a helpful answer against a curt one."""
    dice = random.Random(0)
    pairs = []
    for i in range(n):
        topic = dice.choice(TOPICS)
        context = " ".join(dice.choices(SENTENCES, k=dice.randint(0, 6)))
        answer = " ".join(dice.choices(SENTENCES, k=dice.randint(1, 8)))
        curt = " ".join(["I would rather not talk about that."] * dice.randint(1, 6))
        pairs.append(
            PreferencePair(
                id=f"bench-{i}",
                origin="expert",
                kind="ordinary",
                source="bench",
                prompt=(Message(role="user", content=f"{context} Tell me about {topic}.".strip()),),
                chosen=Target(text=f"About {topic}: {answer}"),
                rejected=Target(text=curt),
            )
        )
    return pairs


def _child(module: str, *arguments: str) -> str:
    environment = os.environ | {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "0"}
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        error = Path(arguments[0]) / "error.json"
        reason = error.read_text(encoding="utf-8") if error.exists() else done.stderr[-2000:]
        raise TrainingError(
            f"{module} failed: {reason}", "run the same training through `superalign run` to see its log"
        )
    return done.stdout
