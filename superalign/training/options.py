"""Options of training; the defaults suit the embedded 135M model on two cores."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from superalign.records.base import FrozenModel

Share = Annotated[float, Field(ge=0.0, le=1.0)]
LossType = Literal[
    "sigmoid", "hinge", "ipo", "robust", "sppo_hard", "apo_zero", "apo_down", "sigmoid_norm", "sft",
]  # fmt: skip
"""Losses of TRL's DPOTrainer that need no further setting but `label_smoothing`."""


class LoraOptions(FrozenModel):
    """The adapter's shape; used when training starts from the bare base, else the parent adapter's shape is kept."""

    rank: PositiveInt = 16
    alpha: PositiveInt = 32
    """Scales the adapter by alpha / rank."""
    dropout: Share = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    """Which layers get an adapter; the output layer never does."""


class StepOptions(FrozenModel):
    """What SFT and DPO have in common."""

    epochs: PositiveFloat = 1.0
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps, going round the examples as often as needed; overrides `epochs`."""
    batch_size: PositiveInt = 8
    """Examples per forward pass."""
    gradient_accumulation: PositiveInt = 1
    """Forward passes per optimiser step: the effective batch is batch_size x gradient_accumulation."""
    warmup_ratio: Share = 0.1
    """Share of the steps in which the learning rate rises from zero."""
    scheduler: Literal["constant_with_warmup", "linear", "cosine"] = "linear"
    weight_decay: Share = 0.0
    max_grad_norm: PositiveFloat = 1.0
    max_length: PositiveInt = 1024
    """Tokens of prompt and completion together; longer examples are dropped and counted, never cut."""
    length_grouped: bool = True
    """Put examples of like length into one batch, so that little is spent on padding."""


class SftOptions(StepOptions):
    """Supervised fine-tuning on demonstrations; the loss is on the completion only."""

    learning_rate: PositiveFloat = 1e-3
    completion_tokens: PositiveInt | None = None
    """Train on the first so many tokens of each completion, since a reply refuses or not within the first few; expert
    examples stay whole, so that replies still end. None: on all tokens."""


class DpoOptions(StepOptions):
    """Direct preference optimisation (arXiv 2305.18290) on pairs."""

    learning_rate: PositiveFloat = 2e-4
    beta: PositiveFloat = 0.1
    """Strength of the penalty for moving away from the reference."""
    loss_type: tuple[LossType, ...] = ("sigmoid",)
    """One or several of TRL's losses; ("sigmoid", "sft") adds a likelihood term on the chosen answers (RPO)."""
    loss_weights: tuple[float, ...] | None = None
    """One weight for each loss type; all 1 when left out."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    """Share of the preferences that are assumed to be the wrong way round."""
    reference: Literal["round_start", "base"] = "round_start"
    """The policy as it was when this training began, or the bare base model; verified before the first step."""
    reference_tolerance: PositiveFloat = 0.02
    """How far, in nats per token, the sampler's log-probabilities may lie from a real forward pass to be used as the
    reference; beyond that all of them are computed anew, and the log says so."""

    @model_validator(mode="after")
    def _one_weight_each(self) -> DpoOptions:
        if self.loss_weights is not None and len(self.loss_weights) != len(self.loss_type):
            raise ValueError(f"loss_weights needs {len(self.loss_type)} values, one for each loss_type")
        return self


class TrainingOptions(FrozenModel):
    """How a round's examples become an adapter."""

    method: Literal["sft", "dpo", "sft_then_dpo"] = "sft"
    """sft_then_dpo: the adapter that SFT made is DPO's parent, and its reference when that is round_start."""
    sft: SftOptions = SftOptions()
    dpo: DpoOptions = DpoOptions()
    lora: LoraOptions = LoraOptions()
    seed: int | None = None
    """None: derived from the run's seed and the round."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """dtype of the frozen base; the adapter is always float32. auto: bfloat16 on a GPU and on a CPU with instructions
    for it (avx512_bf16, amx_bf16), else float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: PositiveInt | None = None
    """CPU threads; None: one for each core this process may use."""
    gradient_checkpointing: bool = False
    """Trade a forward pass for memory; for models that do not fit otherwise."""
    share_prompts: bool = True
    """On a CPU, compute what the examples of a batch have in common (system message, a pair's prompt) once."""
    save_every_steps: PositiveInt = 25
    """How often the trainer's state is saved, so that a killed training goes on from there."""
    divergence_factor: PositiveFloat = 4.0
    """Training fails when the loss stays above this many times the first loss ..."""
    divergence_steps: PositiveInt = 5
    """... for so many steps in a row; a loss that is no number fails at once."""
    max_dropped: Share = 0.5
    """Training refuses to start when a larger share of the examples is over length or has two equal answers."""
