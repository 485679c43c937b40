"""Figures of texts against computations of them by other means."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sacrebleu import sentence_bleu
from scipy.stats import entropy

from superalign.stats.text_diversity import Sample, evenness, novelty, self_bleu, similarity

WORDS = "the a lock safe key door how do I open pick break into without with my own old new garden shed".split()


def naive_bleu(text: str, references: Sequence[str]) -> float:
    """BLEU-4 of Papineni et al. 2002 with exponential smoothing, over the n-gram orders that the text has."""

    def grams(words: list[str], n: int) -> Counter[tuple[str, ...]]:
        return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))

    said, others = text.split(), [reference.split() for reference in references]
    logs, zeros = [], 0
    for n in range(1, 5):
        own = grams(said, n)
        if not own:
            break
        clipped = sum(min(count, max(grams(other, n)[gram] for other in others)) for gram, count in own.items())
        zeros += clipped == 0
        logs.append(math.log((clipped or 0.5**zeros) / own.total()))
    nearest = min((abs(len(other) - len(said)), len(other)) for other in others)[1]
    brevity = min(0.0, 1 - nearest / len(said))
    return math.exp(brevity + sum(logs) / len(logs))


def texts(seed: int, n: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(2, 14))) for _ in range(n)]


@pytest.mark.parametrize("seed", range(5))
def test_self_bleu_is_the_mean_of_each_against_the_others(seed: int) -> None:
    said = texts(seed, 12)
    others = [[*said[:i], *said[i + 1 :]] for i in range(12)]
    found = self_bleu(said)
    own = [naive_bleu(text, rest) for text, rest in zip(said, others, strict=True)]
    library = [
        sentence_bleu(t, rest, use_effective_order=True).score / 100 for t, rest in zip(said, others, strict=True)
    ]
    assert found == pytest.approx(np.mean(own))
    assert found == pytest.approx(np.mean(library))


def test_self_bleu_spans_from_different_to_equal() -> None:
    assert self_bleu(["pick the lock of a shed"] * 3) == pytest.approx(1.0)
    assert (self_bleu(["one two three four", "five six seven eight"]) or 0) < 0.15
    assert self_bleu(["alone"]) is None


@given(st.lists(st.integers(0, 50), max_size=8))
def test_evenness_is_the_entropy_by_its_maximum(counts: list[int]) -> None:
    occurring = [count for count in counts if count]
    if len(occurring) < 2:
        assert evenness(counts) is None
    else:
        assert evenness(counts) == pytest.approx(entropy(occurring) / math.log(len(occurring)))


@given(st.lists(st.tuples(*[st.floats(-1, 1)] * 3).filter(any), min_size=2, max_size=9), st.data())
def test_similarity_and_novelty_by_all_pairs(rows: list[tuple[float, ...]], data: st.DataObject) -> None:
    unit = np.asarray([np.asarray(row) / np.linalg.norm(row) for row in rows if np.linalg.norm(row) > 0.01])
    if len(unit) < 2:
        return
    pairs = [unit[i] @ unit[j] for i in range(len(unit)) for j in range(len(unit)) if i != j]
    assert similarity(unit) == pytest.approx(np.mean(pairs), abs=1e-9)
    cut = data.draw(st.integers(1, len(unit) - 1))
    new, old = unit[:cut], unit[cut:]
    wanted = np.mean([1 - max(float(a @ b) for b in old) for a in new])
    assert novelty(new, (old[i : i + 2] for i in range(0, len(old), 2))) == pytest.approx(wanted)
    assert novelty(new, []) is None


@given(st.lists(st.integers(0, 99), max_size=60), st.integers(1, 20))
def test_a_sample_keeps_the_same_ids_whatever_comes_first_and_how_often(ids: list[int], size: int) -> None:
    def kept(order: Iterable[int]) -> list[str]:
        sample = Sample(size)
        for id in order:
            sample.add(str(id), f"text {id}")
        return sample.texts()

    assert kept(ids) == kept(sorted(ids)) == kept([*ids, *ids])
    assert len(kept(ids)) == min(size, len(set(ids)))
