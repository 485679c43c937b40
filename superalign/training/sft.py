"""Supervised fine-tuning, through TRL's SFTTrainer as it is."""

from __future__ import annotations

from collections.abc import Sequence

from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from superalign.training.cpu.completion_head import install
from superalign.training.preflight import EncodedDemonstration
from superalign.training.stage import Stage, StageResult, arguments, schedule, train, trainer_parts


def train_sft(stage: Stage, rows: Sequence[EncodedDemonstration]) -> StageResult:
    """Train on the completions, write `adapter/`; raises TrainingError when the loss diverges."""
    options = stage.options.sft
    indices, parts = schedule(stage, options, rows), trainer_parts(stage)
    trainer = SFTTrainer(
        args=SFTConfig(**arguments(stage, options, len(indices))),
        # already in tokens: TRL would put an end token after answers that were cut
        train_dataset=Dataset.from_list([_tokens(rows[index]) for index in indices]),
        **parts,
    )
    install(trainer.model, share_prompts=stage.options.share_prompts, pairs=False)
    return train(stage, trainer, sum(rows[index].length for index in indices))


def _tokens(row: EncodedDemonstration) -> dict[str, list[int]]:
    return {"input_ids": row.prompt + row.completion, "labels": [-100] * len(row.prompt) + row.completion}
