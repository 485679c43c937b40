"""The decoding loop on a random two-layer model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from superalign.pool.transformers.decode import Row, decode, pick, score

END, PAD = 1, 0


@pytest.fixture(scope="module")
def net() -> Any:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, initializer_range=0.3,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def row(
    prompt: list[int], tokens: int = 12, *, temperature: float = 0.0, seed: int | None = None, top_p: float = 1.0
) -> Row:
    return Row(prompt=prompt, max_tokens=tokens, temperature=temperature, top_p=top_p, seed=seed)


def run(net: Any, *rows: Row, ends: frozenset[int] = frozenset()) -> list[list[int]]:
    decode(
        net, rows, end_ids=ends, pad_id=PAD, text_of=lambda tokens: "".join(chr(97 + token % 26) for token in tokens)
    )
    return [one.tokens for one in rows]


def test_greedy_is_what_transformers_generates(net: Any) -> None:
    prompts = [[5, 9, 3], [7, 2, 8, 4, 11, 30]]
    ours = run(net, *(row(prompt) for prompt in prompts))
    for prompt, tokens in zip(prompts, ours, strict=True):
        theirs = net.generate(
            torch.tensor([prompt]), max_new_tokens=12, do_sample=False, eos_token_id=None, pad_token_id=PAD
        )
        assert tokens == theirs[0, len(prompt) :].tolist()


def test_rows_do_not_feel_each_other_even_when_some_leave_early(net: Any) -> None:
    rows = [(list(range(2, 3 + n)), 3 + 2 * n, 0.9, n) for n in range(6)]
    together = run(net, *(row(p, t, temperature=0.9, seed=s, top_p=top) for p, t, top, s in rows))
    for (prompt, tokens, top, seed), batched in zip(rows, together, strict=True):
        assert run(net, row(prompt, tokens, temperature=0.9, seed=seed, top_p=top)) == [batched]
        assert len(batched) == tokens


def test_the_end_token_and_stop_strings_end_a_row(net: Any) -> None:
    [free] = run(net, row([5, 9, 3]))
    ended = row([5, 9, 3])
    run(net, ended, ends=frozenset({free[4]}))
    assert (ended.tokens, ended.finish) == (free[: free.index(free[4]) + 1], "stop")
    stopped = row([5, 9, 3])
    word = "".join(chr(97 + token % 26) for token in free)
    stopped.stop = (word[3:5],)
    run(net, stopped)
    assert (stopped.text, stopped.finish) == (word[: word.index(word[3:5])], "stop")


def test_a_small_nucleus_is_greedy(net: Any) -> None:
    assert run(net, row([4, 4], temperature=1.0, seed=3, top_p=1e-6)) == run(net, row([4, 4]))


def test_what_is_much_less_likely_than_the_likeliest_is_never_drawn() -> None:
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.04, 0.01]))
    draw = torch.Generator().manual_seed(0)

    def drawn(min_p: float, temperature: float) -> set[int]:
        one = row([], temperature=temperature, seed=0)
        one.min_p = min_p
        return {pick(logits, one, draw) for _ in range(400)}

    assert drawn(0.2, 1.0) == {0, 1, 2}
    assert drawn(0.0, 1.0) == {0, 1, 2, 3, 4}
    assert drawn(0.2, 2.0) == {0, 1, 2, 3}  # the temperature comes first
    assert drawn(1.0, 1.0) == {0}


def test_score_is_the_decoders_logprob(net: Any) -> None:
    rows = [row([5, 9, 3], 9, temperature=1.3, seed=1), row([7, 2, 8, 4], 5, temperature=1.3, seed=2)]
    run(net, *rows)
    scores = score(net, [(one.prompt + one.tokens, len(one.prompt)) for one in rows], pad_id=PAD)
    for one, (values, _) in zip(rows, scores, strict=True):
        assert sum(values) == pytest.approx(one.logprob, abs=1e-4)
        assert len(values) == len(one.tokens)
