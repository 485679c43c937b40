from __future__ import annotations

import pytest

import superalign
from tests.api.toys import play


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> superalign.Run:
    """A run of one round; to be read, not changed."""
    return play(tmp_path_factory.mktemp("api") / "run")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two random layers with a tokenizer and a chat template."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from tests.training.toys import make_tokenizer

    folder, tokenizer = tmp_path_factory.mktemp("tiny"), make_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, pad_token_id=0, eos_token_id=3, bos_token_id=None,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
