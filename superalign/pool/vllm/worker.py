"""What runs inside vLLM's worker process: merging an adapter into the weights in place, and on a CPU our LoRA kernel.

vLLM imports this module by name (`worker_extension_cls`) before it builds the worker; nothing else does.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from vllm.platforms import current_platform

if current_platform.is_cpu():
    from superalign.pool.vllm import cpu_lora as cpu_lora


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
