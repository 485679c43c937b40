"""What a person's label of an answer is worth: doubt about the verdict, times what hangs on it, times how new it is.

Pure but for the embedder that may be handed in.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from superalign.files.text_filters import plain_words
from superalign.pairing.training_examples import PairingOptions, compile_exchange
from superalign.records.base import Rate, Record
from superalign.records.exchange import Exchange, Verdict
from superalign.records.rollout import user_text
from superalign.seeding import derive_seed

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> (n, dim), rows of length 1."""
_LEAST_DOUBT = 0.05
"""A critic may be sure and wrong."""
_REPEATED = 0.5
"""What is left of the value where the same text has been labelled already."""
_POOL = 8
"""So many candidates for each place are compared for novelty; the rest is worth too little."""
_SHINGLE = 2


class QueueItem(Record):
    """One answer that a person should judge; `queue.jsonl` holds them, the most valuable first."""

    exchange: str
    answer: int
    value: Rate
    """What a label is worth: doubt times consequence times what novelty leaves."""
    disagreement: Rate
    """How far a committee's critics disagree; 0 with one critic."""
    uncertainty: Rate
    """1 where the score or the harm of the request is 0.5, or where there is no verdict."""
    consequence: Rate
    """1: the verdict makes a pair, or lets harm pass; less: it makes a demonstration, or nothing."""
    novelty: Rate
    """1 minus the likeness to the nearest text that is labelled or stands before it in the queue."""


def rank(
    exchanges: Iterable[Exchange],
    places: int,
    pairing: PairingOptions,
    *,
    known: Sequence[str] = (),
    held_out: Collection[str] = (),
    embed: Embed | None = None,
) -> list[QueueItem]:
    """The answers most worth a label, at most one of an exchange; memory does not grow with the exchanges.

    known: requests that are labelled; held_out: prompts of the evaluation, as `plain_words` gives them, which are never
    asked about; embed: for novelty in meaning, else in words.
    """
    candidates = (one for exchange in exchanges for one in _candidates(exchange, pairing, held_out))
    best = heapq.nlargest(max(places * _POOL, 64), candidates, key=lambda one: (one[0].value, one[1]))
    texts = [request for _, _, request in best]
    likeness = _likeness([*texts, *known], embed)
    nearest = likeness[: len(best), len(best) :].max(axis=1, initial=0.0)  # (candidates,)
    queue: list[QueueItem] = []
    left = list(range(len(best)))
    while left and len(queue) < places:
        worth = {i: best[i][0].value * (_REPEATED + (1 - _REPEATED) * (1 - nearest[i])) for i in left}
        top = max(left, key=lambda i: (worth[i], -i))
        novelty = round(float(1 - nearest[top]), 4)
        queue.append(best[top][0].model_copy(update={"value": round(float(worth[top]), 4), "novelty": novelty}))
        left.remove(top)
        nearest = np.maximum(nearest, likeness[: len(best), top])
    return queue


def _candidates(
    exchange: Exchange, pairing: PairingOptions, held_out: Collection[str]
) -> list[tuple[QueueItem, float, str]]:
    """The exchange's most valuable answer with a number that breaks ties, and its request."""
    request = user_text(exchange.attack.messages)
    if exchange.attack.setup or not exchange.answers or is_held_out(exchange, held_out):
        return []
    compiled = compile_exchange(exchange, pairing)
    made = 1.0 if compiled.pair else 0.6 if compiled.demonstration else 0.3
    items = []
    for index, answer in enumerate(exchange.answers):
        verdict = answer.verdict
        disagreement = (verdict.disagreement or 0.0) if verdict else 0.0
        uncertainty = _uncertainty(verdict)
        passes = exchange.attack.seed.intent == "harmful" and (verdict is None or verdict.refusal != "full")
        consequence = 1.0 if passes else made
        doubt = max(_LEAST_DOUBT, 1 - (1 - disagreement) * (1 - uncertainty))
        items.append(
            QueueItem(
                exchange=exchange.id, answer=index, value=round(doubt * consequence, 4),
                disagreement=round(disagreement, 4), uncertainty=round(uncertainty, 4), consequence=consequence,
                novelty=1.0,
            )
        )  # fmt: skip
    top = max(items, key=lambda item: (item.value, -item.answer))
    tie = derive_seed(0, "review", exchange.id) / 2**31  # spreads equal values over the round, not by name
    return [(top, tie, request)]


def is_held_out(exchange: Exchange, held_out: Collection[str]) -> bool:
    """Whether the attack asks what an evaluation asks."""
    return any(plain_words(m.content) in held_out for m in exchange.attack.messages if m.role == "user")


def _uncertainty(verdict: Verdict | None) -> float:
    if verdict is None or verdict.score is None:
        return 1.0
    figures = [verdict.score] + ([] if verdict.request_harmful is None else [verdict.request_harmful])
    between = 1.0 if verdict.refusals is None else max(verdict.refusals)
    return max(min(1.0, 2 * (1 - between)), *(1 - abs(2 * figure - 1) for figure in figures))


def _likeness(texts: Sequence[str], embed: Embed | None) -> NDArray[np.float64]:
    """(n, n), 0 nothing in common to 1 the same: cosines, or the share of word pairs that two texts have in common."""
    if not texts:
        return np.zeros((0, 0))
    if embed is not None:
        vectors = embed(texts).astype(np.float64)
        return np.clip(vectors @ vectors.T, 0.0, 1.0)
    shingles = [_shingles(text) for text in texts]
    shared = np.zeros((len(texts), len(texts)))
    for i, one in enumerate(shingles):
        for j in range(i + 1):
            shared[i, j] = shared[j, i] = len(one & shingles[j]) / len(one | shingles[j])
    return shared


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = plain_words(text).split() or [text]
    return frozenset(tuple(words[i : i + _SHINGLE]) for i in range(max(1, len(words) - _SHINGLE + 1)))
