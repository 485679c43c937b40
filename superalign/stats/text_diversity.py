"""How much the texts of a set repeat each other, in words and in meaning."""

from __future__ import annotations

import heapq
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from superalign.records.rollout import Attack, user_text
from superalign.seeding import derive_seed

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
"""n texts -> (n, dim), row by row."""

KEPT_CHARS = 1000
BLEU_SAMPLE = 64
"""Texts for Self-BLEU, whose time grows with the square: half a second."""
SAMPLE = 256
EARLIER = 2048
"""The most texts of earlier rounds that are compared with."""
DISTINCT_COSINE = 0.9
"""Cosine from which two texts count as paraphrases under all-MiniLM-L6-v2."""


class Sample:
    """At most `size` texts, those whose ids have the smallest hashes, whatever the order in which they are added."""

    def __init__(self, size: int = SAMPLE) -> None:
        self._size = size
        self._heap: list[tuple[int, str, str]] = []
        self._ids: set[str] = set()

    def add(self, id: str, text: str) -> None:
        """Offers a text to the sample; of equal ids the first counts."""
        if id in self._ids:
            return
        self._ids.add(id)
        heapq.heappush(self._heap, (-derive_seed(0, "sample", id), id, text))
        if len(self._heap) > self._size:
            self._ids.remove(heapq.heappop(self._heap)[1])

    def texts(self, most: int = SAMPLE) -> list[str]:
        """The kept texts, smallest hashes first."""
        return [text for _, _, text in sorted(self._heap, reverse=True)[:most]]


def attack_text(attack: Attack) -> str:
    """The user's turns of an attack; of more than `KEPT_CHARS` characters the first and last half of so many."""
    text = user_text(attack.messages)
    half = KEPT_CHARS // 2
    return text if len(text) <= KEPT_CHARS else f"{text[:half]} {text[-half:]}"


def words_of(text: str) -> str:
    """The text without case, punctuation and line breaks; a text without letters and digits stays as it is."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.findall(r"\w+", plain)) or text


def self_bleu(texts: Sequence[str]) -> float | None:
    """Mean BLEU-4 (0 to 1) of each text with all the others as references; None for fewer than two."""
    scores = bleu_to_others(texts)
    return min(1.0, sum(scores) / len(scores)) if scores else None


def bleu_to_others(texts: Sequence[str]) -> list[float]:
    """BLEU-4 (0 to 1) of each text with all the others as references; empty for fewer than two.

    sacrebleu's sentence BLEU: 13a tokens, exponential smoothing, only the n-gram orders that the text has.
    """
    if len(texts) < 2:
        return []
    from sacrebleu.metrics.bleu import BLEU  # slow to import, and `--help` doesn't need it

    bleu = BLEU(effective_order=True)
    return [bleu.sentence_score(text, [*texts[:i], *texts[i + 1 :]]).score / 100 for i, text in enumerate(texts)]


def evenness(counts: Iterable[int]) -> float | None:
    """H / ln S over the S categories that occur (Pielou 1966); None when S < 2."""
    occurring = [count for count in counts if count]
    if len(occurring) < 2:
        return None
    total = sum(occurring)
    entropy = -sum(count / total * math.log(count / total) for count in occurring)
    return min(1.0, entropy / math.log(len(occurring)))


def similarity(vectors: Vectors) -> float | None:
    """Mean cosine over all pairs of rows; None for fewer than two."""
    n = len(vectors)
    if n < 2:
        return None
    total = float(np.square(vectors.sum(axis=0, dtype=np.float64)).sum())  # the n rows with themselves included
    return (total - float(np.square(vectors, dtype=np.float64).sum())) / (n * (n - 1))


def novelty(vectors: Vectors, earlier: Iterable[Vectors]) -> float | None:
    """Mean over the rows of 1 - the highest cosine to any earlier row; None if there are no rows or none earlier."""
    best = np.full(len(vectors), -np.inf)
    for block in earlier:
        best = np.maximum(best, (vectors @ block.T).max(axis=1))
    return float(np.mean(1 - best)) if len(best) and np.isfinite(best).all() else None


def distinct(texts: Sequence[str], embed: Embed) -> int:
    """How many texts remain if each is kept only with a cosine under `DISTINCT_COSINE` to all kept before it."""
    vectors = units(embed, texts)
    kept: list[int] = []
    for i in range(len(texts)):
        if not kept or float((vectors[kept] @ vectors[i]).max()) < DISTINCT_COSINE:
            kept.append(i)
    return len(kept)


def units(embed: Embed, texts: Sequence[str]) -> Vectors:
    """Embeddings scaled to length 1, (n, dim)."""
    vectors = np.asarray(embed(texts), dtype=np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / np.maximum(lengths, np.float32(1e-12))
    return scaled


def blocks(embed: Embed, texts: Iterable[str], size: int = SAMPLE) -> Iterator[Vectors]:
    """Embeddings of any number of texts, a block at a time."""
    rest = iter(texts)
    while block := list(islice(rest, size)):
        yield units(embed, block)
