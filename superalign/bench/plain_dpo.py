"""The yardstick of `superalign bench train`: DPOTrainer with its defaults on a job folder, and both sides' final loss.

`python -m superalign.bench.plain_dpo JOB_DIR` trains into JOB_DIR/plain/ and writes plain.json there;
`python -m superalign.bench.plain_dpo JOB_DIR loss ADAPTER ...` prints the mean loss of each adapter over some pairs.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is loaded; our side has it too

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head

from superalign.records.training import PreferencePair
from superalign.store.journal import read_records
from superalign.training.cpu.completion_head import install
from superalign.training.job import PAIRS, read_job, write_json
from superalign.training.preflight import encode_pairs
from superalign.training.stage import Stage, arguments, load_policy

SAME = ("learning_rate", "max_steps", "per_device_train_batch_size", "gradient_accumulation_steps", "warmup_steps",
        "lr_scheduler_type", "seed", "use_cpu", "report_to", "logging_steps", "disable_tqdm")  # fmt: skip
"""Settings both sides share; all others are TRL's defaults."""
JUDGED = 32
"""Pairs the final losses are taken over."""


def train(folder: Path) -> None:
    """Same model, adapter shape, pairs, batch, steps, learning rate and seed as the job's; the rest is the default."""
    job = read_job(folder)
    in_float32 = job.options.model_copy(update={"dtype": "float32"})  # TRL loads so, and autocasts to bfloat16
    job = job.model_copy(update={"options": in_float32})
    started = time.monotonic()
    options = job.options.dpo
    stage = Stage("dpo", job, folder / "plain", None, AutoTokenizer.from_pretrained(job.base), lambda event: None)
    model, peft_config = load_policy(stage)
    shared = arguments(stage, options, (options.max_steps or 1) * options.batch_size * options.gradient_accumulation)
    trainer: Any = DPOTrainer(
        model=model,
        args=DPOConfig(
            output_dir=str(stage.folder), save_strategy="no", beta=options.beta, **{key: shared[key] for key in SAME}
        ),
        train_dataset=Dataset.from_list(
            [
                {
                    "prompt": [turn.model_dump() for turn in pair.prompt],
                    "chosen": [{"role": "assistant", "content": pair.chosen.text}],
                    "rejected": [{"role": "assistant", "content": pair.rejected.text}],
                }
                for pair in read_records(folder / PAIRS, PreferencePair)
            ]
        ),
        processing_class=stage.tokenizer,
        peft_config=peft_config,
    )
    trainer.train()
    seconds = time.monotonic() - started
    trainer.model.save_pretrained(str(stage.folder / "adapter"), save_embedding_layers=False)
    write_json(folder / "plain.json", {"seconds": seconds})


@torch.no_grad()
def final_losses(folder: Path, adapters: Sequence[Path]) -> list[float]:
    """Mean DPO loss of each adapter over the first pairs in float32, the bare base as reference."""
    job = read_job(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(job.base)
    pairs = list(read_records(folder / PAIRS, PreferencePair))[:JUDGED]
    rows, _ = encode_pairs(pairs, tokenizer, frozenset({tokenizer.eos_token_id}), 10**6)
    model: Any = AutoModelForCausalLM.from_pretrained(job.base, dtype=torch.float32)
    model = PeftModel.from_pretrained(model, str(adapters[0]), "0").eval()
    for index, adapter in enumerate(adapters[1:], 1):
        model.load_adapter(str(adapter), str(index))
    add_fused_lm_head(model.get_base_model())
    model.requires_grad_(False)
    install(model, share_prompts=True, pairs=True)
    collate = DataCollatorForPreference(pad_token_id=tokenizer.pad_token_id or 0)
    rows = sorted(rows, key=lambda row: row.length)
    losses: list[list[torch.Tensor]] = [[] for _ in adapters]
    for at in range(0, len(rows), 8):
        batch = collate([row.tokens for row in rows[at : at + 8]])
        labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, -100)
        with model.disable_adapter():
            base = model(**batch, labels=labels, fused_lm_head=True).log_probs.sum(1)
        for index in range(len(adapters)):
            model.set_adapter(str(index), inference_mode=True)
            ratios = model(**batch, labels=labels, fused_lm_head=True).log_probs.sum(1) - base
            chosen, rejected = ratios.chunk(2)
            losses[index].append(-torch.nn.functional.logsigmoid(job.options.dpo.beta * (chosen - rejected)))
    return [float(torch.cat(parts).mean()) for parts in losses]


if __name__ == "__main__":
    if sys.argv[2:3] == ["loss"]:
        sys.stdout.write(json.dumps(final_losses(Path(sys.argv[1]), [Path(name) for name in sys.argv[3:]])) + "\n")
    else:
        train(Path(sys.argv[1]))
