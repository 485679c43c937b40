"""Supervised fine-tuning, through TRL's SFTTrainer as it is."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from superalign.training.batch_order import order
from superalign.training.cpu.completion_head import install
from superalign.training.preflight import EncodedDemonstration
from superalign.training.stage import (
    Stage,
    StageResult,
    Watch,
    arguments,
    dtype_name,
    export,
    last_checkpoint,
    load_policy,
)


def train_sft(stage: Stage, rows: Sequence[EncodedDemonstration]) -> StageResult:
    """Train on the completions, write `adapter/`; raises TrainingError when the loss diverges."""
    options = stage.options.sft
    schedule = order([row.length for row in rows], options, stage.job.seed)
    steps = len(schedule) // (options.batch_size * options.gradient_accumulation)
    model, peft_config = load_policy(stage)
    trainer = SFTTrainer(
        model=model,
        args=SFTConfig(**arguments(stage, options, options.learning_rate, steps)),
        # already in tokens: TRL would put an end token after answers that were cut
        train_dataset=Dataset.from_list([_tokens(rows[index]) for index in schedule]),
        processing_class=stage.tokenizer,
        peft_config=peft_config,
        callbacks=[Watch(stage, len(stage.tokenizer))],
    )
    install(trainer.model, share_prompts=stage.options.share_prompts, pairs=False)
    trainer.train(resume_from_checkpoint=last_checkpoint(stage.folder))
    return StageResult(
        name=stage.name,
        dtype=dtype_name(stage.options),
        steps=trainer.state.global_step,
        losses=tuple(entry["loss"] for entry in trainer.state.log_history if "loss" in entry),
        tokens=sum(rows[index].length for index in schedule),
        adapter_sha256=export(trainer.model, stage.folder / "adapter"),
    )


def _tokens(row: EncodedDemonstration) -> dict[str, list[int]]:
    return {"input_ids": row.prompt + row.completion, "labels": [-100] * len(row.prompt) + row.completion}
