"""Direct preference optimisation, through TRL's DPOTrainer as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from superalign.training.batch_order import order
from superalign.training.cpu.completion_head import install
from superalign.training.dpo_reference import FirstStep, reference_columns
from superalign.training.preflight import EncodedPair
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


def train_dpo(stage: Stage, rows: Sequence[EncodedPair]) -> StageResult:
    """Train on the pairs, write `adapter/`; raises TrainingError when the loss diverges or the reference is wrong."""
    options = stage.options.dpo
    schedule = order([row.length for row in rows], options, stage.job.seed)
    steps = len(schedule) // (options.batch_size * options.gradient_accumulation)
    model, peft_config = load_policy(stage)
    trainer: Any = DPOTrainer(
        model=model,
        args=DPOConfig(
            **arguments(stage, options, options.learning_rate, steps),
            beta=options.beta,
            loss_type=list(options.loss_type),
            loss_weights=list(options.loss_weights) if options.loss_weights else None,
            label_smoothing=options.label_smoothing,
        ),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),  # replaced below
        processing_class=stage.tokenizer,
        peft_config=peft_config,
        callbacks=[Watch(stage, len(stage.tokenizer))],
    )
    if options.reference == "base":
        _forget_ref(trainer.model)  # with no adapter of that name, TRL's reference is the bare base
    restore = install(trainer.model, share_prompts=stage.options.share_prompts, pairs=True)
    columns, origin = reference_columns(trainer, stage, rows, restore)
    _forget_ref(trainer.model)  # with it in the checkpoint, transformers 5.19 resumes `ref` and not what was trained
    # Already in tokens, for TRL would put an end token after answers that were cut; and with the reference's
    # log-probabilities beside them, so that TRL runs no reference model: each answer costs one such pass at most.
    trainer.train_dataset = Dataset.from_list([_tokens(rows[index]) | columns[index] for index in schedule])
    trainer.precompute_ref_logps = True
    trainer.add_callback(FirstStep(stage, rows, origin))
    trainer.train(resume_from_checkpoint=last_checkpoint(stage.folder))
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    return StageResult(
        name=stage.name,
        dtype=dtype_name(stage.options),
        steps=trainer.state.global_step,
        losses=tuple(entry["loss"] for entry in logs),
        margins=tuple(round(entry["rewards/margins"], 6) for entry in logs),
        tokens=sum(rows[index].length + len(rows[index].prompt) for index in schedule),
        reference=origin,
        adapter_sha256=export(trainer.model, stage.folder / "adapter"),
    )


def _forget_ref(model: Any) -> None:
    if "ref" in model.peft_config:
        model.delete_adapter("ref")


def _tokens(row: EncodedPair) -> dict[str, Any]:
    return {"prompt_ids": row.prompt, "chosen_ids": row.chosen, "rejected_ids": row.rejected}
