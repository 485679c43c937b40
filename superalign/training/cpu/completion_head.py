"""Makes TRL's forward cheap on a CPU: same numbers, less work.

TRL's trainers call `model(..., labels=labels, fused_lm_head=True)` and want the log-probability of each label. On a
CPU, TRL projects every position onto the vocabulary, folds that with a dozen passes over it, and does the projection
again in the backward pass. Here only the completion's positions are projected, once, and the gradient is taken at the
same time. What the examples of a batch have in common is computed once, see `prefix_tree`. On a GPU, TRL's own Triton
kernels stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import FusedCausalLMOutput

from superalign.training.cpu.prefix_tree import pack

CHUNK = 256
"""Positions projected at a time: 256 x 49152 float32 are 50 MB."""
UNUSUAL_HEADS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "output_multiplier", "lm_head_multiplier")


class TokenLogProb(torch.autograd.Function):
    """log softmax(hidden @ weight.T)[target]: (num, width), (vocab, width), (num,) -> (num,), and if it is the top."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Computes the gradient for `hidden` too, while the probabilities are at hand; `weight` gets none."""
        log_probs = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
        is_top = torch.empty(len(hidden), dtype=torch.bool, device=hidden.device)
        gradient = torch.empty_like(hidden) if ctx.needs_input_grad[0] else None
        for at in range(0, len(hidden), CHUNK):
            part, labels = slice(at, at + CHUNK), targets[at : at + CHUNK, None]
            logits = (hidden[part] @ weight.T).float()
            target_logits = logits.gather(1, labels)
            top = logits.amax(1, keepdim=True)
            exps = logits.sub_(top).exp_()
            total = exps.sum(1, keepdim=True)
            log_probs[part] = (target_logits - top - total.log())[:, 0]
            is_top[part] = (target_logits >= top)[:, 0]
            if gradient is not None:
                # d log p[target] / d hidden = weight[target] - sum_v p[v] weight[v]
                gradient[part] = weight[labels[:, 0]] - exps.div_(total).to(weight.dtype) @ weight
        if gradient is not None:
            ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(is_top)
        return log_probs, is_top

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Chain rule with the gradient taken in `forward`."""
        (gradient,) = ctx.saved_tensors
        return (gradients[0][:, None] * gradient).to(gradient.dtype), None, None


_score: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]] = TokenLogProb.apply


def install(model: Any, *, share_prompts: bool, pairs: bool) -> Callable[[], None] | None:
    """Replace TRL's fused forward in a PEFT model's base; None where the head is unusual or there is a GPU.

    Returns what puts TRL's forward back. pairs: batches are pairs as `DataCollatorForPreference` makes them.
    """
    base = model.get_base_model()
    head, config = base.get_output_embeddings(), base.config.get_text_config()
    unusual = any(getattr(config, name, None) is not None for name in UNUSUAL_HEADS)
    if head.weight.device.type != "cpu" or head.bias is not None or head.weight.requires_grad or unusual:
        return None
    if getattr(config, "output_router_logits", False):
        return None
    trl_forward = base.forward

    def forward(*args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head or "shift_labels" in kwargs:
            return trl_forward(*args, fused_lm_head=fused_lm_head, **kwargs)
        labels = kwargs.pop("labels")
        num_items = kwargs.pop("num_items_in_batch", None)
        mask = labels[:, 1:] != -100
        targets = labels[:, 1:][mask]
        kwargs["use_cache"] = False
        if share_prompts:
            packed = pack(kwargs.pop("input_ids"), kwargs.pop("attention_mask"), labels, head.weight.dtype, pairs=pairs)
            kwargs |= packed.inputs
        hidden = base.base_model(*args, **kwargs).last_hidden_state
        hidden = hidden.flatten(0, 1)[packed.where] if share_prompts else hidden[:, :-1][mask]
        log_probs, is_top = _score(hidden.to(head.weight.dtype), head.weight, targets)
        blank = torch.zeros(mask.shape)
        log_probs = blank.masked_scatter(mask, log_probs)
        not_measured = torch.full(mask.shape, float("nan"))
        return FusedCausalLMOutput(
            loss=-log_probs.sum() / (mask.sum().clamp(min=1) if num_items is None else num_items),
            log_probs=log_probs,
            entropy=not_measured,
            mean_logits=not_measured,
            is_top1=torch.zeros(mask.shape, dtype=torch.bool).masked_scatter(mask, is_top),
            label_mask=mask,
        )

    def remove() -> None:
        base.forward = trl_forward

    base.forward = forward
    return remove
