"""A forward pass of plain transformers, with which an engine's scores are compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from superalign.files.hashes import sha256_file

CHEAP_BYTES = 1_000_000_000
"""Models up to this size on disk are compared after each swap; float32 weights stay in memory only meanwhile."""


def is_cheap(model: str) -> bool:
    """Whether a forward pass of this model on the CPU takes seconds and little memory."""
    folder = Path(model)
    return folder.is_dir() and sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= CHEAP_BYTES


def digest(adapter: Path | None) -> str | None:
    """SHA-256 of an adapter's weights; None for the bare base and for an adapter that changes nothing."""
    from safetensors.torch import load_file

    if adapter is None:
        return None
    file = adapter / "adapter_model.safetensors"
    lora = load_file(str(file))
    if not any(bool(weight.any()) for name, weight in lora.items() if ".lora_A." not in name):
        return None  # B is zero in every pair, as before the first training step
    return sha256_file(file)


def load(model: str, adapter: Path | None) -> Any:
    """The base in float32 on the CPU, with the adapter beside it."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    if adapter is not None:
        from peft import PeftModel

        loaded = PeftModel.from_pretrained(loaded, str(adapter))
    return loaded.eval()


def score(model: str, adapter: Path | None, tokens: list[int], start: int) -> list[float]:
    """Log-probabilities of tokens[start:], nats."""
    import torch

    with torch.inference_mode():
        logits = load(model, adapter)(torch.tensor([tokens])).logits[0, start - 1 : -1]
        logprobs = torch.log_softmax(logits.float(), dim=-1)
        chosen = logprobs.gather(1, torch.tensor(tokens[start:])[:, None])[:, 0]
    return [float(value) for value in chosen]
