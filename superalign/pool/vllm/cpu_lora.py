"""A LoRA kernel for CPUs that is right and fast; importing this module puts it in the place of vLLM's.

vLLM's CPU kernel (0.32, lora/ops/torch_ops) gathers a copy of the adapter for every token, and gathers slot -1, the
last adapter, for tokens that have none: with all slots taken, base requests get another's adapter while decoding. Here
the rows of one adapter share one matrix product, and rows without an adapter are left alone.
"""

from __future__ import annotations

from typing import Any

import torch
from vllm.lora.punica_wrapper.punica_cpu import PunicaWrapperCPU

Groups = list[tuple[int, torch.Tensor | None]]
"""(adapter slot, rows that use it; None: all rows)."""


def group_rows(slots: torch.Tensor) -> Groups:
    """Rows by adapter slot; slot -1 is the base model and gets no group."""
    present = torch.unique(slots).tolist()
    if len(present) == 1:
        return [(present[0], None)] if present[0] >= 0 else []
    return [(slot, torch.nonzero(slots == slot).flatten()) for slot in present if slot >= 0]


def add_product(y: torch.Tensor, x: torch.Tensor, groups: Groups, factors: list[torch.Tensor], scale: float) -> None:
    """y[rows] += scale * x[rows] @ f[slot].T for each f of `factors` in turn; y: (rows, out), x: (rows, in)."""
    for slot, rows in groups:
        delta = x if rows is None else x.index_select(0, rows)
        for factor in factors:
            weight = factor[slot]
            delta = torch.nn.functional.linear(delta.to(weight.dtype), weight[0] if weight.dim() == 3 else weight)
        delta = delta.to(y.dtype)
        # An adapter may be padded wider than the vocabulary, or narrower.
        width = min(delta.shape[1], y.shape[1])
        target = y[:, :width]
        if rows is None:
            target.add_(delta[: y.shape[0], :width], alpha=scale)
        else:
            target.index_add_(0, rows, delta[:, :width], alpha=scale)


_update_metadata = PunicaWrapperCPU.update_metadata


def update_metadata(self: Any, *args: Any, **kwargs: Any) -> None:
    _update_metadata(self, *args, **kwargs)
    self.token_groups = group_rows(self.token_lora_indices)
    self.sampler_groups = group_rows(self.sampler_indices)


def add_lora_linear(
    self: Any,
    y: torch.Tensor,
    x: torch.Tensor,
    lora_a_stacked: tuple[torch.Tensor, ...],
    lora_b_stacked: tuple[torch.Tensor, ...],
    scale: float,
    output_slices: tuple[int, ...],
    **kwargs: Any,
) -> None:
    start = 0
    for a, b, width in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
        add_product(y[:, start : start + width], x, self.token_groups, [a, b], scale)
        start += width


def add_lora_embedding(
    self: Any, y: torch.Tensor, x: torch.Tensor, lora_b_stacked: torch.Tensor, add_inputs: bool = True, **kwargs: Any
) -> None:
    add_product(y, x, self.token_groups, [lora_b_stacked], 1.0)


def add_lora_logits(
    self: Any,
    y: torch.Tensor,
    x: torch.Tensor,
    lora_a_stacked: torch.Tensor,
    lora_b_stacked: torch.Tensor,
    scale: float,
    **kwargs: Any,
) -> None:
    add_product(
        y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1]), self.sampler_groups, [lora_a_stacked, lora_b_stacked], scale
    )


for _method in (update_metadata, add_lora_linear, add_lora_embedding, add_lora_logits):
    setattr(PunicaWrapperCPU, _method.__name__, _method)
