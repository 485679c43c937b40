"""Shares, and differences of paired shares and means, with their intervals. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

from superalign.records.evaluation import Interval, Mean


class Bounds(NamedTuple):
    """An estimate with its interval."""

    value: float
    low: float
    high: float


def wilson(hits: int, n: int, unscored: int = 0) -> Interval:
    """A share with its 95 % score interval (Wilson 1927); of no items it is [0, 1], and the rate is written as 0."""
    from scipy.stats import binomtest  # here, for it takes most of a second and `--help` doesn't need it

    if n == 0:
        return Interval(rate=0.0, low=0.0, high=1.0, n=0, unscored=unscored)
    found = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    low, high = max(0.0, float(found.low)), min(1.0, float(found.high))
    return Interval(rate=hits / n, low=low, high=high, n=n, unscored=unscored)


def paired_rates(gained: int, lost: int, n: int, confidence: float = 0.95) -> Bounds:
    """The difference of two shares of the same n items, with its two-sided score interval.

    gained: items that count in the second share only; lost: in the first only. Tango 1998, Statistics in Medicine
    17:891: the values that the score test for a paired difference does not reject. Of no items it is [-1, 1].
    """
    if n == 0:
        return Bounds(0.0, -1.0, 1.0)
    value, z = (gained - lost) / n, NormalDist().inv_cdf(0.5 + confidence / 2)
    low = _crossing(gained, lost, n, -1.0, value, z)
    high = -_crossing(lost, gained, n, -1.0, -value, z)
    return Bounds(value, low, high)


def unpaired_rates(one: Interval, other: Interval) -> Bounds:
    """one - other, two shares of different items, with its 95 % interval; both have items.

    Newcombe 1998, Statistics in Medicine 17:873, method 10: from the two Wilson intervals.
    """
    value = one.rate - other.rate
    low = value - math.hypot(one.rate - one.low, other.high - other.rate)
    return Bounds(value, low, value + math.hypot(one.high - one.rate, other.rate - other.low))


def _crossing(gained: int, lost: int, n: int, outside: float, inside: float, z: float) -> float:
    """Where, between a value that the score test rejects and one that it does not, the score is z."""
    for _ in range(40):
        middle = (outside + inside) / 2
        if _score(gained, lost, n, middle) > z:
            outside = middle
        else:
            inside = middle
    return (outside + inside) / 2


def _score(gained: int, lost: int, n: int, delta: float) -> float:
    """Tango's score for the difference delta, the nuisance share at its maximum likelihood under delta."""
    a, b, c = 2 * n, -gained - lost + (2 * n - gained + lost) * delta, -lost * delta * (1 - delta)
    share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * share + delta * (1 - delta))
    distance = gained - lost - n * delta
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def rose_by_chance(gained: int, lost: int) -> float:
    """One-sided p of the exact McNemar test: so many of the changed items, or more, gained by chance alone."""
    if gained + lost == 0:
        return 1.0
    from scipy.stats import binom  # here, like the rest of scipy

    return float(binom.sf(gained - 1, gained + lost, 0.5))


def paired_mean(differences: Sequence[float], confidence: float = 0.95) -> Bounds:
    """The mean of paired differences in -1 to 1, with its interval.

    Agresti and Min 2005, Statistics in Medicine 24:729: half a pair is added to each of the four outcomes of a pair,
    so that a handful of equal differences is no certainty. A difference may itself be a mean, hence the quantile of
    Student's t. (0, -1, 1) for none, (d, -1, 1) for one.
    """
    n = len(differences)
    if n < 2:
        return Bounds((differences[0] if differences else 0.0), -1.0, 1.0)
    from scipy.stats import t

    mean, centre = sum(differences) / n, sum(differences) / (n + 2)
    variance = ((sum(d * d for d in differences) + 1) / (n + 2) - centre**2) / (n + 2)
    reach = float(t.ppf(0.5 + confidence / 2, n - 1)) * math.sqrt(max(0.0, variance))
    return Bounds(mean, max(-1.0, centre - reach), min(1.0, centre + reach))


def paired_ratio(
    old: Sequence[float], new: Sequence[float], sizes: Sequence[float], confidence: float = 0.95
) -> Bounds:
    """(sum of new - sum of old) / sum of sizes, over two units or more, with its interval.

    Of nats by tokens of passages, it is the mean difference of log-probability a token. A ratio estimator of clusters
    with the variance by linearisation (Cochran 1977, Sampling Techniques, section 6.3) and the quantile of Student's t.
    """
    from scipy.stats import t

    total, n = sum(sizes), len(sizes)
    changes = [after - before for before, after in zip(old, new, strict=True)]
    value = sum(changes) / total
    spread = sum((change - value * size) ** 2 for change, size in zip(changes, sizes, strict=True))
    reach = float(t.ppf(0.5 + confidence / 2, n - 1)) * math.sqrt(n / (n - 1) * spread) / total
    return Bounds(value, value - reach, value + reach)


def clustered(items: Sequence[tuple[int, int]], unscored: int = 0) -> Interval:
    """A share of all replies where an item may have several: (hits, replies) of each; `n` counts replies.

    Wilson's interval, at the effective sample size where an item has several (Korn and Graubard 1998, Survey
    Methodology 24:193; Dean and Pagano 2015, Journal of Survey Statistics and Methodology 3:484). It serves at every
    size, a bootstrap at none: Wilson keeps its coverage near 0 and 1 and for few items, where a bootstrap's collapses
    (Brown, Cai and DasGupta 2001, Statistical Science 16:101).
    """
    hits, n = sum(hits for hits, _ in items), sum(n for _, n in items)
    size = effective_n(items)
    if size == n:
        return wilson(hits, n, unscored)
    rate, z2 = hits / n, 1.959963984540054**2
    arm = math.sqrt(z2 * (rate * (1 - rate) / size + z2 / (4 * size**2)))
    low, high = ((rate + z2 / (2 * size) + side) / (1 + z2 / size) for side in (-arm, arm))
    return Interval(
        rate=rate, low=min(rate, max(0.0, low)), high=max(rate, min(1.0, high)), n=n, unscored=unscored
    )  # fmt: skip


def effective_n(items: Sequence[tuple[int, int]]) -> float:
    """How many independent replies tell as much as these: (hits, replies) of each item.

    Replies over the design effect of the ratio estimator (Kish 1965), kept between the number of items and that of
    replies. Where all replies are alike the effect can't be told, and it is the number of items.
    """
    drawn = [(hits, n) for hits, n in items if n]
    clusters, n = len(drawn), sum(n for _, n in drawn)
    if clusters == n:  # one reply an item
        return float(n)
    rate = sum(hits for hits, _ in drawn) / n
    if clusters < 2 or not 0 < rate < 1:
        return float(clusters)
    variance = clusters / (clusters - 1) * sum((hits - rate * own) ** 2 for hits, own in drawn) / n**2
    return min(float(n), max(float(clusters), rate * (1 - rate) / variance)) if variance else float(n)


def mean_of(values: Sequence[float]) -> Mean | None:
    """A mean with its interval, by Student's t; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    n, mean = len(values), math.fsum(values) / len(values)
    variance = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    reach = float(stdtrit(n - 1, 0.975)) * math.sqrt(variance / n)
    return Mean(value=mean, low=mean - reach, high=mean + reach, n=n)


def turned_by_chance(one_way: int, other_way: int) -> float:
    """Two-sided p of McNemar's exact test (1947): of the items that turned, as many would turn either way."""
    if one_way + other_way == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(one_way, one_way + other_way, 0.5).pvalue)


def differ_by_chance(differences: Sequence[float]) -> float:
    """Two-sided p of the paired t test: their mean is 0. 1 for fewer than two, and where none differs."""
    n = len(differences)
    mean = math.fsum(differences) / max(1, n)
    variance = math.fsum((value - mean) ** 2 for value in differences) / max(1, n - 1)
    if n < 2 or mean == 0:
        return 1.0
    from scipy.special import stdtr

    return min(1.0, 2 * float(stdtr(n - 1, -abs(mean) / math.sqrt(variance / n)))) if variance else 0.0


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values, in their order, adjusted for being several (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    adjusted, most = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = most
    return adjusted


def tarone_level(least: Sequence[float], alpha: float) -> float:
    """The level at which to test each of several discrete tests so that all together err with probability alpha.

    least: the smallest p that each could give. Tarone 1990, Biometrics 46:515: tests that could never reject at the
    level take no share of it.
    """
    share = 1
    while sum(p <= alpha / share for p in least) > share:
        share += 1
    return alpha / share


_Z = 1.959964
"""Of a 95 % interval."""


def corrected_share(judged: Interval, sensitivity: Interval, specificity: Interval) -> Interval | None:
    """The true share, after Rogan and Gladen 1978 (American Journal of Epidemiology 107:71); None: can't be told.

    judged: share that the critic called positive; sensitivity, specificity: its own, each from labelled items of its
    own. The interval is that of Lang and Reiczigel 2014 (Preventive Veterinary Medicine 113:13), which allows for the
    uncertainty of all three. It can't be told where the critic is no better than chance, or one of them has no items.
    """
    informed = sensitivity.rate + specificity.rate - 1
    if informed <= 0 or 0 in (judged.n, sensitivity.n, specificity.n):
        return None
    share = (judged.rate + specificity.rate - 1) / informed
    n, n_se, n_sp = judged.n + _Z**2, sensitivity.n + 2, specificity.n + 2
    rate = (judged.n * judged.rate + _Z**2 / 2) / n
    se = (sensitivity.n * sensitivity.rate + 1) / n_se
    sp = (specificity.n * specificity.rate + 1) / n_sp
    if (youden := se + sp - 1) <= 0:
        return None
    p = (rate + sp - 1) / youden
    noise_se, noise_sp = se * (1 - se) / n_se, sp * (1 - sp) / n_sp
    shift = 2 * _Z**2 * (p * noise_se - (1 - p) * noise_sp)
    arm = _Z * math.sqrt(rate * (1 - rate) / n + p**2 * noise_se + (1 - p) ** 2 * noise_sp) / youden
    return Interval(
        rate=_clip(share), low=_clip(p + shift - arm), high=_clip(p + shift + arm),
        n=judged.n, unscored=judged.unscored,
    )  # fmt: skip


def _clip(value: float) -> float:
    return min(1.0, max(0.0, value))
