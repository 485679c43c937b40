"""What runs inside vLLM's worker process: a LoRA kernel for CPUs that is right and fast, and merging in place.

vLLM imports this module by name (`worker_extension_cls`) before it builds the worker; nothing else does.

Its own CPU kernel (0.32, lora/ops/torch_ops) gathers a copy of the adapter for every token, and gathers slot -1,
the last adapter, for tokens that have none: with all slots taken, base requests get another's adapter while decoding.
Here the rows of one adapter share one matrix product, and rows without an adapter are left alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
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


def merged_weights(base: Iterator[tuple[str, torch.Tensor]], adapter: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Base weights with W + scale * B @ A where the adapter has a pair (Hu et al. 2021, eq. 3); float32 sums."""
    from safetensors.torch import load_file

    config = json.loads((adapter / "adapter_config.json").read_text())
    lora = load_file(str(adapter / "adapter_model.safetensors"))
    rank = config["r"]
    scale = config["lora_alpha"] / (math.sqrt(rank) if config.get("use_rslora") else rank)
    if config.get("use_dora") or config.get("alpha_pattern") or config.get("rank_pattern"):
        raise RuntimeError("only plain LoRA (no DoRA, no rank or alpha patterns) can be merged here")
    unused = set(lora)
    for name, weight in base:
        key = f"base_model.model.{name.removesuffix('.weight')}"
        pair = (f"{key}.lora_B.weight", f"{key}.lora_A.weight")
        if unused.issuperset(pair):
            unused.difference_update(pair)
            delta = lora[pair[0]].float() @ lora[pair[1]].float()
            weight = (weight.float() + scale * delta.to(weight.device)).to(weight.dtype)
        yield name, weight
    if unused:
        raise RuntimeError(f"the adapter changes what the base model does not have: {sorted(unused)[:3]}")


class WorkerExtension:
    """Methods that `collective_rpc` can call by name."""

    model_runner: Any
    vllm_config: Any

    def superalign_reload(self, adapter: str | None) -> None:
        """Load the base weights again, with an adapter merged into them or as they are."""
        from vllm.model_executor.model_loader import get_model_loader

        loader: Any = get_model_loader(self.vllm_config.load_config)
        weights = loader.get_all_weights(self.vllm_config.model_config, self.model_runner.get_model())
        if adapter is not None:
            weights = merged_weights(iter(weights), Path(adapter))
        self.model_runner.reload_weights(weights_iterator=weights)
