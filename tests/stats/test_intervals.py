"""Intervals against independent implementations, published figures and the truth."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import binomtest, bootstrap, multinomial, norm, t
from statsmodels.stats.weightstats import DescrStatsW

from superalign.stats.intervals import paired_mean, paired_rates, paired_ratio, rose_by_chance


def independent(gained: int, lost: int, n: int, delta: float) -> float:
    """Tango's score by maximising the multinomial likelihood numerically, and the variance that follows."""

    def loss(share: float) -> float:
        rest, found = 1 - 2 * share - delta, 0.0
        for count, p in ((gained, share + delta), (lost, share), (n - gained - lost, rest)):
            found -= count * math.log(max(p, 1e-300)) if count else 0.0
        return found

    share = minimize_scalar(loss, bounds=(max(0.0, -delta), (1 - delta) / 2), options={"xatol": 1e-12}).x
    return (gained - lost - n * delta) / math.sqrt(n * (2 * share + delta - delta * delta))


@pytest.mark.parametrize(("gained", "lost", "n"), [(10, 4, 44), (0, 12, 60), (1, 0, 120), (31, 2, 40), (5, 5, 20)])
def test_paired_rates_end_where_the_score_test_does(gained: int, lost: int, n: int) -> None:
    found = paired_rates(gained, lost, n, 0.95)
    z = norm.ppf(0.975)
    low = brentq(lambda d: independent(gained, lost, n, d) - z, -0.999, found.value - 1e-6)
    high = brentq(lambda d: independent(gained, lost, n, d) + z, found.value + 1e-6, 0.999)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


@given(st.integers(1, 80), st.data())
@settings(max_examples=60, deadline=None)
def test_paired_rates_are_ordered_symmetric_and_agree_with_mcnemar(n: int, data: st.DataObject) -> None:
    gained = data.draw(st.integers(0, n))
    lost = data.draw(st.integers(0, n - gained))
    value, low, high = paired_rates(gained, lost, n)
    assert -1 <= low <= value <= high <= 1
    assert paired_rates(lost, gained, n) == pytest.approx((-value, -high, -low), abs=1e-9)
    if gained + lost:  # at a difference of 0 the score is McNemar's without correction
        rejected = abs(gained - lost) / math.sqrt(gained + lost) > norm.ppf(0.975)
        assert rejected == (not low < 0 < high)
        assert rose_by_chance(gained, lost) == pytest.approx(
            binomtest(gained, gained + lost, alternative="greater").pvalue
        )
    assert paired_rates(0, 0, 0) == (0.0, -1.0, 1.0)


@pytest.mark.parametrize("limit", [0.1, 0.3])
def test_a_bound_below_the_true_rise_is_as_rare_as_alpha(limit: float) -> None:
    """Exactly: every outcome of 60 pairs with its probability; the gate passes where the upper bound is below."""
    n, alpha = 60, 0.05
    below = [
        (gained, lost)
        for gained in range(n + 1)
        for lost in range(n + 1 - gained)
        if gained - lost < n * limit and paired_rates(gained, lost, n, 1 - 2 * alpha).high <= limit
    ]
    for lost in (0.005, 0.02, 0.05, 0.1, 0.2):
        outcome = multinomial(n, [lost + limit, lost, 1 - 2 * lost - limit])
        size = sum(outcome.pmf([g, k, n - g - k]) for g, k in below)
        assert 0.03 < size < 0.053


def test_a_few_equal_differences_are_no_certainty() -> None:
    assert paired_mean([1.0, 1.0, 1.0]).low < 0
    assert paired_mean([1.0] * 10).low > 0.3
    assert paired_mean([0.0] * 50)[1:] == pytest.approx((-0.04, 0.04), abs=0.02)
    assert paired_mean([]) == (0.0, -1.0, 1.0)


def test_paired_mean_is_students_interval_with_half_a_pair_added_to_each_outcome() -> None:
    differences = [(random.Random(i).random() < 0.6) - random.Random(-i).random() / 2 for i in range(25)]
    added = DescrStatsW([*differences, 1, -1, 0], weights=[1] * 25 + [0.5, 0.5, 1], ddof=0)
    low, high = t.interval(0.95, 24, added.mean, math.sqrt(added.var / 27))
    assert paired_mean(differences) == pytest.approx((np.mean(differences), low, high))


def test_the_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    dice, means, rates = random.Random(5), 0, 0
    for _ in range(1500):
        pairs = [(dice.random() < 0.5) - (dice.random() < 0.3) for _ in range(30)]
        _, low, high = paired_mean(pairs)
        means += low <= 0.2 <= high
        _, low, high = paired_rates(pairs.count(1), pairs.count(-1), 30)
        rates += low <= 0.2 <= high
    assert 0.93 < means / 1500 < 0.99
    assert 0.93 < rates / 1500 < 0.975


def test_paired_ratio_against_the_bootstrap() -> None:
    dice = np.random.default_rng(3)
    sizes = dice.integers(40, 160, 60).astype(float)
    old = sizes * dice.normal(3.9, 0.3, 60)
    new = old + sizes * dice.normal(0.1, 0.06, 60)
    value, low, high = paired_ratio(old, new, sizes)
    assert value == pytest.approx((new.sum() - old.sum()) / sizes.sum())

    def ratio(changes: np.ndarray, sizes: np.ndarray, axis: int) -> np.ndarray:
        return changes.sum(axis=axis) / sizes.sum(axis=axis)

    found = bootstrap((new - old, sizes), ratio, paired=True, random_state=1).confidence_interval
    assert (low, high) == (pytest.approx(found.low, abs=0.003), pytest.approx(found.high, abs=0.003))
