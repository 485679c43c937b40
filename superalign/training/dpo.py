"""Direct preference optimisation, through TRL's DPOTrainer as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import DPOConfig, DPOTrainer

from superalign.training.cpu.completion_head import install
from superalign.training.dpo_reference import FirstStep, reference_columns
from superalign.training.preflight import EncodedPair
from superalign.training.stage import Stage, StageResult, arguments, schedule, train, trainer_parts


def train_dpo(stage: Stage, rows: Sequence[EncodedPair]) -> StageResult:
    """Train on the pairs, write `adapter/`; raises TrainingError when the loss diverges or the reference is wrong."""
    options = stage.options.dpo
    indices, parts = schedule(stage, options, rows), trainer_parts(stage)
    trainer: Any = DPOTrainer(
        args=DPOConfig(
            **arguments(stage, options, len(indices)),
            beta=options.beta,
            loss_type=list(options.loss_type),
            loss_weights=list(options.loss_weights) if options.loss_weights else None,
            label_smoothing=options.label_smoothing,
        ),
        train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}]),  # replaced below
        **parts,
    )
    if options.reference == "base":
        _forget_ref(trainer.model)  # with no adapter of that name, TRL's reference is the bare base
    restore = install(trainer.model, share_prompts=stage.options.share_prompts, pairs=True)
    columns, origin = reference_columns(trainer, stage, rows, restore)
    _forget_ref(trainer.model)  # with it in the checkpoint, transformers 5.19 resumes `ref` and not what was trained
    # Already in tokens, for TRL would put an end token after answers that were cut; and with the reference's
    # log-probabilities beside them, so that TRL runs no reference model: each answer costs one such pass at most.
    trainer.train_dataset = Dataset.from_list([rows[index].tokens | columns[index] for index in indices])
    trainer.precompute_ref_logps = True
    trainer.add_callback(FirstStep(stage, rows, origin))
    result = train(stage, trainer, sum(rows[index].length + len(rows[index].prompt) for index in indices))
    margins = [entry["rewards/margins"] for entry in trainer.state.log_history if "loss" in entry]
    return result.model_copy(update={"margins": tuple(round(margin, 6) for margin in margins), "reference": origin})


def _forget_ref(model: Any) -> None:
    if "ref" in model.peft_config:
        model.delete_adapter("ref")
