"""The CPU LoRA kernel against the sum it stands for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.skipif(sys.platform != "linux", reason="vLLM runs on Linux only")]


def test_rows_get_their_own_adapter_and_base_rows_none() -> None:
    import torch

    from superalign.pool.vllm.cpu_lora import add_product, group_rows

    torch.manual_seed(0)
    a, b = torch.randn(2, 1, 3, 5), torch.randn(2, 1, 7, 3)
    x, base = torch.randn(6, 5), torch.randn(6, 7)
    for slots in ([0, -1, 1, 1, -1, 0], [1] * 6, [-1] * 6):
        y = base.clone()
        add_product(y, x, group_rows(torch.tensor(slots)), [a, b], 0.5)
        for at, slot in enumerate(slots):
            expected = base[at] + (0.5 * (b[slot, 0] @ a[slot, 0] @ x[at]) if slot >= 0 else 0)
            torch.testing.assert_close(y[at], expected)


def test_merged_weights_are_base_plus_product_and_nothing_may_be_left_over(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from superalign.pool.vllm.worker import merged_weights

    a, b = torch.randn(2, 4), torch.randn(3, 2)
    name = "base_model.model.layers.0.q"
    save_file({f"{name}.lora_A.weight": a, f"{name}.lora_B.weight": b}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 2, "lora_alpha": 8}))
    base = {"layers.0.q.weight": torch.randn(3, 4), "norm.weight": torch.randn(4)}
    merged = dict(merged_weights(iter(base.items()), tmp_path))
    torch.testing.assert_close(merged["layers.0.q.weight"], base["layers.0.q.weight"] + 4 * b @ a)
    assert merged["norm.weight"] is base["norm.weight"]
    with pytest.raises(RuntimeError, match="does not have"):
        dict(merged_weights(iter({"norm.weight": base["norm.weight"]}.items()), tmp_path))
