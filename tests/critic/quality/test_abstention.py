"""Corrected shares, promises and calibration maps, in simulations whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from superalign.critic.quality.abstention import agreement_bound, fewest_labels, promise
from superalign.critic.quality.calibration import calibrate, halves
from superalign.records.evaluation import Interval
from superalign.stats.intervals import corrected_share, wilson


@pytest.mark.parametrize("true_share", [0.05, 0.3, 0.8])
def test_the_corrected_shares_interval_covers_the_truth_19_times_in_20(true_share: float) -> None:
    rng, se, sp, covered, estimates = np.random.default_rng(0), 0.8, 0.9, 0, []
    for _ in range(600):
        judged = rng.binomial(400, true_share * se + (1 - true_share) * (1 - sp))
        found = corrected_share(
            wilson(int(judged), 400), wilson(int(rng.binomial(100, se)), 100), wilson(int(rng.binomial(120, sp)), 120)
        )
        assert found is not None
        covered += found.low <= true_share <= found.high
        estimates.append(found.rate)
    assert covered / 600 >= 0.935
    assert np.mean(estimates) == pytest.approx(true_share, abs=0.02)


def test_a_perfect_critic_needs_no_correction_and_a_coin_allows_none() -> None:
    said = wilson(30, 100)
    found = corrected_share(said, wilson(500, 500), wilson(500, 500))
    assert found is not None
    assert found.rate == pytest.approx(0.3)
    assert found.low < 0.3 < found.high
    assert corrected_share(said, wilson(50, 100), wilson(50, 100)) is None
    assert corrected_share(said, wilson(0, 0), wilson(50, 100)) is None
    assert corrected_share(Interval(rate=0, low=0, high=1, n=0), wilson(9, 10), wilson(9, 10)) is None


def test_the_bound_is_clopper_and_pearsons() -> None:
    from scipy.stats import binom

    for agreed, n in ((29, 29), (45, 50), (1, 3)):
        bound = agreement_bound(agreed, n, 0.05)
        assert binom.sf(agreed - 1, n, bound) == pytest.approx(0.05)  # so many or more, were the bound the truth
    assert agreement_bound(0, 10, 0.05) == 0.0


def test_the_fewest_labels_are_those_of_the_binomial_tail() -> None:
    assert fewest_labels(0.9, 0.05) == 29  # 0.9^29 = 0.047, 0.9^28 = 0.052
    assert fewest_labels(0.9, 0.05, 1) == 46
    assert fewest_labels(0.95, 0.05) == 59


def world(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A critic with 60 % agreement at confidence 0.5, rising to 99 % at 1."""
    confidence = 0.5 + 0.5 * rng.random(n)
    return confidence, rng.random(n) < 0.6 + 0.78 * (confidence - 0.5)


def agreement_above(threshold: float) -> float:
    return 0.6 + 0.78 * ((max(threshold, 0.5) + 1) / 2 - 0.5)


@pytest.mark.parametrize(("target", "delta"), [(0.85, 0.1), (0.9, 0.05)])
def test_promises_are_broken_no_more_often_than_delta(target: float, delta: float) -> None:
    rng, made, broken = np.random.default_rng(1), 0, 0
    for _ in range(500):
        confidence, agrees = world(rng, 300)
        found = promise(confidence.tolist(), agrees.tolist(), target, delta)
        if found.above is not None:
            made += 1
            broken += agreement_above(found.above) < target
    assert made > 150
    assert broken / 500 <= delta


def test_where_no_threshold_keeps_it_a_promise_is_rarer_than_delta() -> None:
    rng, made = np.random.default_rng(2), 0
    for _ in range(500):
        agrees = rng.random(200) < 0.895
        made += promise((0.5 + rng.random(200) / 2).tolist(), agrees.tolist(), 0.9, 0.1).above is not None
    assert made / 500 <= 0.125  # delta and its sampling error


def test_more_labels_let_the_critic_speak_more_often() -> None:
    rng = np.random.default_rng(3)
    shares = []
    for n in (100, 400, 3000):
        found = [promise(*(part.tolist() for part in world(rng, n)), 0.85, 0.1) for _ in range(20)]
        shares.append(np.mean([one.accepted / n for one in found]))
    assert shares[0] < shares[1] < shares[2] <= 0.93  # 0.92 would be accepted, were everything known


def test_a_critic_that_is_always_right_may_always_speak() -> None:
    found = promise([0.9] * 60, [True] * 60, 0.9, 0.05)
    assert (found.above, found.accepted, found.agreed) == (-1.0, 60, 60)
    assert found.bound > 0.9


def test_too_few_labels_are_said_with_the_number_needed() -> None:
    found = promise([0.9] * 20 + [0.0] * 30, [True] * 50, 0.9, 0.05)  # 30 items without a verdict
    assert (found.above, found.needed) == (None, 29)
    assert "20 items with verdict and label, and the promise takes at least 29" in found.reason


def test_a_near_miss_says_how_many_labels_might_do_and_they_do() -> None:
    agrees = [i % 25 != 3 for i in range(50)]  # 96 %
    found = promise([0.9] * 50, agrees, 0.9, 0.05)
    assert found.above is None
    assert found.needed is not None
    assert promise([0.9] * 50 * 4, agrees * 4, 0.9, 0.05).above == -1.0
    assert 60 <= found.needed <= 200


def test_a_bad_critic_is_told_apart_from_too_few_labels() -> None:
    found = promise([0.9] * 200, [i % 2 == 0 for i in range(200)], 0.9, 0.05)
    assert (found.above, found.needed) == (None, None)
    assert "more labels won't help" in found.reason


def test_items_without_a_verdict_are_never_accepted() -> None:
    found = promise([0.9] * 100 + [0.0] * 100, [True] * 100 + [False] * 100, 0.9, 0.05)
    assert (found.accepted, found.agreed) == (100, 100)


@pytest.mark.parametrize("bend", [0.3, 3.0])
def test_maps_make_probabilities_honest_in_the_half_they_have_not_seen(bend: float) -> None:
    rng = np.random.default_rng(4)
    honest = rng.random(1000)
    odds = np.log(honest / (1 - honest)) * bend
    found = calibrate((1 / (1 + np.exp(-odds))).tolist(), (rng.random(1000) < honest).tolist())
    assert found is not None
    assert (found.fitted_on, found.reported_on) == (500, 500)
    for quality in found.after.values():
        assert quality.ece < found.before.ece / 2
        assert quality.brier < found.before.brier
    assert found.map.calibrated(0.5) == pytest.approx(0.5, abs=0.12)


def test_maps_of_critics_that_are_already_honest_leave_them_so() -> None:
    rng = np.random.default_rng(5)
    honest = rng.random(2000)
    found = calibrate(honest.tolist(), (rng.random(2000) < honest).tolist())
    assert found is not None
    assert max(abs(found.map.calibrated(p) - p) for p in np.linspace(0.1, 0.9, 9)) < 0.12


def test_few_labels_of_a_kind_give_no_map() -> None:
    assert calibrate([0.5] * 100, [i < 19 for i in range(100)]) is None


def test_a_map_never_turns_a_decision_round() -> None:
    found = calibrate([i / 400 for i in range(400)], [i > 320 for i in range(400)])
    assert found is not None
    assert found.map.calibrated(0.6) < 0.5 <= found.map.reassessed(0.6)
    assert found.map.reassessed(0.4) < 0.5


def test_halves_share_positives_and_no_item() -> None:
    first, second = halves([i % 5 == 0 for i in range(100)])
    assert sorted(first + second) == list(range(100))
    assert sum(i % 5 == 0 for i in first) == sum(i % 5 == 0 for i in second) == 10
