"""Packing: one row with shared prompts gives the log-probabilities and gradients of the examples one by one."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from superalign.training.cpu.prefix_tree import pack

SYSTEM = [5, 6, 7, 8]


def tiny() -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2,
        )
    )  # fmt: skip


def batch(rows: list[tuple[list[int], list[int]]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(prompt, completion) rows, padded on the right: ids, attention mask, labels."""
    width = max(len(prompt) + len(completion) for prompt, completion in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for i, (prompt, completion) in enumerate(rows):
        size = len(prompt) + len(completion)
        ids[i, :size], mask[i, :size] = torch.tensor(prompt + completion), 1
        labels[i, len(prompt) : size] = torch.tensor(completion)
    return ids, mask, labels


SFT = [([*SYSTEM, 9, 10], [11, 12, 13]), ([*SYSTEM, 14], [15]), ([*SYSTEM, 9, 10, 16, 17], [18, 19, 20, 21])]
DPO = [*SFT, (SFT[0][0], [30, 31]), (SFT[1][0], [32, 33, 34]), (SFT[2][0], [35])]
STRANGERS = [([40, 41], [42, 43]), ([44], [45])]


@pytest.mark.parametrize(("rows", "pairs"), [(SFT, False), (DPO, True), (STRANGERS, False), (SFT[:1], False)])
@pytest.mark.parametrize("width", [8, 12, 1024])
def test_packed_log_probs_and_gradients_are_those_of_the_rows(
    rows: list[tuple[list[int], list[int]]], pairs: bool, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("superalign.training.cpu.prefix_tree.WIDTH", width)
    ids, mask, labels = batch(rows)
    plain, packed_model = tiny(), tiny()
    hidden = plain.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1][labels[:, 1:] != -100]
    packed = pack(ids, mask, labels, torch.float32, pairs=pairs)
    ours = packed_model.model(**packed.inputs, use_cache=False).last_hidden_state.flatten(0, 1)[packed.where]
    torch.testing.assert_close(ours, hidden, atol=1e-5, rtol=1e-4)
    hidden.square().sum().backward()
    ours.square().sum().backward()
    for (name, a), (_, b) in zip(plain.model.named_parameters(), packed_model.model.named_parameters(), strict=True):
        torch.testing.assert_close(b.grad, a.grad, atol=1e-4, rtol=1e-3, msg=name)


def test_a_batch_with_one_system_message_is_laid_out_without_repeating_it() -> None:
    packed = pack(*batch(DPO), torch.float32, pairs=True)
    prompts = len(SYSTEM) + sum(len(prompt) - len(SYSTEM) for prompt, _ in SFT)
    assert packed.inputs["input_ids"].shape == (1, prompts + sum(len(completion) for _, completion in DPO))
