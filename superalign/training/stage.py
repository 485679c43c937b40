"""What SFT and DPO share: the schedule, the model, the arguments, the watcher, the export."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from pydantic import Field
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)  # fmt: skip

from superalign.errors import TrainingError
from superalign.files.hashes import sha256_file
from superalign.records.base import Record
from superalign.store.atomic import ADAPTER_WEIGHTS
from superalign.training.batch_order import order
from superalign.training.job import TrainingJob
from superalign.training.options import DpoOptions, SftOptions, TrainingOptions
from superalign.training.preflight import EncodedDemonstration, EncodedPair

COMPLETE = "COMPLETE"
CPU_BFLOAT16 = frozenset(("avx512_bf16", "amx_bf16"))
"""Instructions without which bfloat16 on a CPU is emulated and four times slower than float32."""
Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Stage:
    """One training run inside a job."""

    name: str
    job: TrainingJob
    folder: Path
    """Trainer state, and `adapter/` when done."""
    parent: Path | None
    """The adapter to go on from."""
    tokenizer: PreTrainedTokenizerBase
    emit: Emit

    @property
    def options(self) -> TrainingOptions:
        """The job's options."""
        return self.job.options


class StageResult(Record):
    """Result of a stage; without wall times, so that equal jobs give equal results."""

    name: str
    dtype: str
    """dtype of the frozen base: float32 or bfloat16."""
    steps: int
    losses: tuple[float, ...]
    """Loss of each optimiser step, before the step."""
    margins: tuple[float, ...] = ()
    """DPO: reward margin of each step, before the step; the first is 0 with reference round_start."""
    tokens: int
    """Non-padding tokens trained; a pair's prompt counts twice, as plain DPO sees it."""
    reference: dict[str, int | str] = Field(default_factory=dict)
    """DPO: how many answers' reference log-probabilities came from the sampler, how many were computed, and why."""
    adapter_sha256: str


def pick_device(options: TrainingOptions) -> str:
    """cpu or cuda."""
    return options.device if options.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def pick_dtype(options: TrainingOptions) -> torch.dtype:
    """dtype of the frozen base model."""
    if options.dtype == "auto":
        fast = pick_device(options) == "cuda" or bool(CPU_BFLOAT16 & cpu_flags())
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if options.dtype == "bfloat16" else torch.float32


def cpu_flags() -> frozenset[str]:
    """Linux's flags of this CPU; empty elsewhere. Not a timing, since a resumed job must choose the same dtype."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), []))


def load_policy(stage: Stage) -> tuple[PreTrainedModel | PeftModel, LoraConfig | None]:
    """The model to train: the parent adapter on the base, or the bare base and the shape of a new adapter."""
    options = stage.options
    torch.set_num_threads(options.threads or len(os.sched_getaffinity(0)))
    model = AutoModelForCausalLM.from_pretrained(stage.job.base, dtype=pick_dtype(options))
    if stage.parent is not None:
        return PeftModel.from_pretrained(model, str(stage.parent), is_trainable=True), None
    lora = options.lora
    modules = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return model, LoraConfig(
        r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=modules, task_type="CAUSAL_LM"
    )


def schedule(
    stage: Stage, options: SftOptions | DpoOptions, rows: Sequence[EncodedDemonstration] | Sequence[EncodedPair]
) -> list[int]:
    """Indices of the rows in the order of training, batch after batch, for all steps."""
    return order([row.length for row in rows], options, stage.job.seed)


def trainer_parts(stage: Stage) -> dict[str, Any]:
    """The policy, tokenizer and watcher, which SFTTrainer and DPOTrainer get in the same way."""
    model, peft_config = load_policy(stage)
    return {
        "model": model,
        "peft_config": peft_config,
        "processing_class": stage.tokenizer,
        "callbacks": [Watch(stage, len(stage.tokenizer))],
    }


def arguments(stage: Stage, options: SftOptions | DpoOptions, examples: int) -> dict[str, Any]:
    """Arguments that SFTConfig and DPOConfig have in common; examples: length of the schedule."""
    steps = examples // (options.batch_size * options.gradient_accumulation)
    return {
        "output_dir": str(stage.folder),
        "learning_rate": options.learning_rate,
        "max_steps": steps,
        "per_device_train_batch_size": options.batch_size,
        "gradient_accumulation_steps": options.gradient_accumulation,
        "warmup_steps": math.ceil(options.warmup_ratio * steps),
        "lr_scheduler_type": options.scheduler,
        "weight_decay": options.weight_decay,
        "max_grad_norm": options.max_grad_norm,
        "max_length": options.max_length,
        "seed": stage.job.seed,
        "use_cpu": pick_device(stage.options) == "cpu",
        # TRL turns bf16 autocast and checkpointing on by default, on a CPU too
        "bf16": pick_dtype(stage.options) == torch.bfloat16,
        "gradient_checkpointing": stage.options.gradient_checkpointing,
        "train_sampling_strategy": "sequential",  # the dataset is the schedule
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_steps": stage.options.save_every_steps,
        "save_total_limit": 2,
        "disable_tqdm": True,
        "report_to": "none",
    }


class Watch(TrainerCallback):
    """Reports each step, marks whole checkpoints, and stops a training that diverges."""

    def __init__(self, stage: Stage, vocabulary: int) -> None:
        self.stage = stage
        # an even guess over the vocabulary has loss log(V); twice that is beyond anything that still learns
        self.hopeless = 2 * math.log(vocabulary) if stage.name == "sft" else math.inf

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Report a step and check its loss."""
        if logs is None or "loss" not in logs:
            return
        self.check([entry["loss"] for entry in state.log_history if "loss" in entry], logs.get("grad_norm", 0.0))
        self.stage.emit(
            {"stage": self.stage.name, "step": state.global_step, "steps": state.max_steps, "loss": logs["loss"]}
        )

    def check(self, losses: list[float], gradient: float) -> None:
        """Raise TrainingError when the last losses show that training went wrong."""
        options, step = self.stage.options, len(losses)
        hint = f"lower training {self.stage.name} learning_rate"
        if not math.isfinite(losses[-1]) or not math.isfinite(gradient):
            raise TrainingError(
                f"{self.stage.name} diverged at step {step}: loss {losses[-1]}, gradient norm {gradient}", hint
            )
        window = options.divergence_steps
        limit = min(options.divergence_factor * max(losses[:window]), self.hopeless)
        if step >= window and min(losses[-window:]) > limit:
            raise TrainingError(
                f"{self.stage.name} diverged: loss above {limit:.3g} for {window} steps, "
                f"{losses[-1]:.3g} at step {step} (first loss {losses[0]:.3g})",
                hint,
            )

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Mark the checkpoint as whole, after everything else is written."""
        (self.stage.folder / f"checkpoint-{state.global_step}" / COMPLETE).touch()


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of a killed run."""
    whole = [path.parent for path in folder.glob(f"checkpoint-*/{COMPLETE}")]
    return str(max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]))) if whole else None


def export(model: Any, folder: Path) -> str:
    """Save the trained adapter alone, not TRL's frozen `ref`; returns the hash of its weights."""
    for name, weights in model.named_parameters():
        if weights.requires_grad and not torch.isfinite(weights).all():
            raise TrainingError(f"training ended with weights that are no numbers ({name})", "lower the learning_rate")
    model.save_pretrained(str(folder), selected_adapters=["default"], save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    return sha256_file(folder / ADAPTER_WEIGHTS)


def train(stage: Stage, trainer: Any, tokens: int) -> StageResult:
    """Train from the last whole checkpoint on and write `adapter/`; tokens: those of the whole schedule."""
    trainer.train(resume_from_checkpoint=last_checkpoint(stage.folder))
    return StageResult(
        name=stage.name,
        dtype=str(pick_dtype(stage.options)).removeprefix("torch."),
        steps=trainer.state.global_step,
        losses=tuple(entry["loss"] for entry in trainer.state.log_history if "loss" in entry),
        tokens=tokens,
        adapter_sha256=export(trainer.model, stage.folder / "adapter"),
    )
