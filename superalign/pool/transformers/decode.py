"""A small decoding loop with a cache of keys and values: each row has its own generator, so its text is its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

SCORED_TOKENS = 8192
"""Tokens of one forward pass for scores: their logits over a vocabulary of 50,000 take 1.6 GB in float32."""


@dataclass
class Row:
    """One sequence to generate."""

    prompt: list[int]
    """Token ids."""
    max_tokens: int
    temperature: float
    top_p: float
    seed: int | None
    min_p: float = 0.0
    stop: tuple[str, ...] = ()
    tokens: list[int] = field(default_factory=list)
    """What was generated, the end token included."""
    logprob: float = 0.0
    """Sum over `tokens`, nats, at temperature 1."""
    finish: str = ""
    text: str | None = None
    """Text up to a stop string, where one was met."""


def pick(logits: torch.Tensor, row: Row, generator: torch.Generator | None) -> int:
    """One token from logits (vocab,), float32 on the CPU; nucleus sampling as in Holtzman et al. 2020, `min_p` as in
    Nguyen et al. 2024.
    """
    if row.temperature == 0.0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / row.temperature, dim=-1)
    if row.top_p < 1.0:
        ordered, order = probabilities.sort(descending=True, stable=True)
        outside = ordered.cumsum(0) - ordered >= row.top_p
        probabilities = probabilities.clone()
        probabilities[order[outside]] = 0.0
    if row.min_p > 0.0:
        probabilities = probabilities.where(probabilities >= row.min_p * probabilities.max(), 0.0)
    return int(torch.multinomial(probabilities, 1, generator=generator))


def generator_of(seed: int | None) -> torch.Generator | None:
    """A generator on the CPU, whatever the model's device, so that seeds mean the same everywhere."""
    return None if seed is None else torch.Generator().manual_seed(seed % 2**63)


@torch.inference_mode()
def decode(model: Any, rows: Sequence[Row], *, end_ids: frozenset[int], pad_id: int, text_of: Any) -> None:
    """Generate all rows together, left-padded; each row's tokens, logprob and finish are filled in."""
    device = model.device
    width = max(len(row.prompt) for row in rows)
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for at, row in enumerate(rows):
        ids[at, width - len(row.prompt) :] = torch.tensor(row.prompt)
        mask[at, width - len(row.prompt) :] = 1
    generators = [generator_of(row.seed) for row in rows]
    active = list(range(len(rows)))
    position = (mask.cumsum(1) - 1).clamp_min(0)
    cache = None
    while active:
        output = model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            position_ids=position.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        cache = output.past_key_values
        logits = output.logits[:, -1].float().cpu()
        logprobs = torch.log_softmax(logits, dim=-1)
        kept = []
        for place, at in enumerate(active):
            row = rows[at]
            token = pick(logits[place], row, generators[at])
            row.tokens.append(token)
            row.logprob += float(logprobs[place, token])
            settle(row, end_ids, text_of)
            if not row.finish:
                kept.append(place)
        # Finished rows leave the batch, so the longest reply alone pays for its length.
        if len(kept) < len(active) and kept:
            chosen = torch.tensor(kept, device=device)
            cache.batch_select_indices(chosen)
            mask, position = mask[kept], position[kept]
        active = [active[place] for place in kept]
        ids = torch.tensor([[rows[at].tokens[-1]] for at in active], dtype=torch.long)
        mask = torch.cat([mask, torch.ones((len(mask), 1), dtype=torch.long)], dim=1)
        position = position[:, -1:] + 1


def settle(row: Row, end_ids: frozenset[int], text_of: Any) -> None:
    """Decide whether a row has ended."""
    if row.tokens[-1] in end_ids:
        row.finish = "stop"
    elif row.stop:
        text = text_of(row.tokens)
        cuts = [at for stop in row.stop if (at := text.find(stop)) >= 0]
        if cuts:
            row.finish, row.text = "stop", text[: min(cuts)]
    if not row.finish and len(row.tokens) >= row.max_tokens:
        row.finish = "length"


@torch.inference_mode()
def score(model: Any, sequences: Sequence[tuple[list[int], int]], *, pad_id: int) -> list[tuple[list[float], bool]]:
    """Log-probabilities of tokens[start:] of each (tokens, start), nats, and whether all of them are the likeliest;
    right-padded, in as few forward passes as `SCORED_TOKENS` allows.
    """
    size = max(1, SCORED_TOKENS // max(len(tokens) for tokens, _ in sequences))
    if size < len(sequences):
        parts = [sequences[at : at + size] for at in range(0, len(sequences), size)]
        return [scored for part in parts for scored in score(model, part, pad_id=pad_id)]
    device = model.device
    width = max(len(tokens) for tokens, _ in sequences)
    ids = torch.full((len(sequences), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(sequences), width), dtype=torch.long)
    for at, (tokens, _) in enumerate(sequences):
        ids[at, : len(tokens)] = torch.tensor(tokens)
        mask[at, : len(tokens)] = 1
    logits = model(input_ids=ids.to(device), attention_mask=mask.to(device)).logits
    results = []
    for at, (tokens, start) in enumerate(sequences):
        # Row by row: log-probabilities of a whole batch over the vocabulary would need gigabytes.
        logprobs = torch.log_softmax(logits[at, start - 1 : len(tokens) - 1].float().cpu(), dim=-1)
        targets = torch.tensor(tokens[start:])
        chosen = logprobs.gather(1, targets[:, None])[:, 0]
        results.append(([float(value) for value in chosen], bool((logprobs.argmax(dim=-1) == targets).all())))
    return results
