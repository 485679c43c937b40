"""Pools and adapters to test with."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from superalign.pool.options import ScriptedOptions, TransformersOptions, VllmOptions
from superalign.records.rollout import Message, Messages

Start = Callable[[str], Awaitable[Any]]
MAX_LEN = 256


def ask(text: str, *, system: str | None = None) -> Messages:
    turns = (Message(role="system", content=system),) if system else ()
    return (*turns, Message(role="user", content=text))


def random_adapter(
    model: str, folder: Path, seed: int, *, size: float = 0.3, modules: str | list[str] = "all-linear"
) -> Path:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(seed)
    net = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    config = LoraConfig(r=8, lora_alpha=16, target_modules=modules, init_lora_weights=False)
    lora = get_peft_model(net, config)
    with torch.no_grad():
        for name, weight in lora.named_parameters():
            if "lora_B" in name:
                weight.mul_(size)
    lora.save_pretrained(str(folder))
    return folder


def new_pool(name: str, model: str, log: Path) -> Any:
    if name == "scripted":
        from superalign.pool.scripted import ScriptedPool

        return ScriptedPool(ScriptedOptions(delay_ms=5, max_model_len=MAX_LEN))
    if name == "transformers":
        from superalign.pool.transformers.pool import TransformersPool

        return TransformersPool(model, TransformersOptions(max_model_len=MAX_LEN))
    if sys.platform != "linux":
        pytest.skip("vLLM runs on Linux only")
    from superalign.pool.vllm.pool import VllmPool

    # One slot: with all slots taken, vLLM's own CPU kernel would give base requests the last adapter.
    merged = name == "vllm-merged"
    options = VllmOptions(
        serving="merged" if merged else "adapter", max_model_len=MAX_LEN, max_num_seqs=16, max_loras=1, kv_cache_gb=1
    )
    return VllmPool(model, options, log, exclusive=merged)
