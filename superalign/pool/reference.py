"""What the weights should say: a forward pass of plain transformers, to hold an engine's scores against."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

CHEAP_BYTES = 1_000_000_000
"""Models up to this size on disk are compared after each swap; float32 weights stay in memory only meanwhile."""


def is_cheap(model: str) -> bool:
    """Whether a forward pass of this model on the CPU takes seconds and little memory."""
    folder = Path(model)
    return folder.is_dir() and sum(file.stat().st_size for file in folder.glob("*.safetensors")) <= CHEAP_BYTES


def digest(adapter: Path | None) -> str | None:
    """SHA-256 of an adapter's weights; None for the bare base."""
    return hashlib.sha256((adapter / "adapter_model.safetensors").read_bytes()).hexdigest() if adapter else None


def load(model: str, adapter: Path | None) -> Any:
    """The base in float32 on the CPU, with the adapter beside it."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
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
