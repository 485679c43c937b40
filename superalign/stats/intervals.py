"""Shares, means and differences with their intervals and tests. Pure; scipy is imported when it is needed."""

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
    """A share with its 95 % score interval (Wilson 1927); for n = 0 the rate is 0 and the interval [0, 1]."""
    from scipy.stats import binomtest  # takes most of a second to import, and `--help` doesn't need it

    if n == 0:
        return Interval(rate=0.0, low=0.0, high=1.0, n=0, unscored=unscored)
    bounds = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    low, high = max(0.0, float(bounds.low)), min(1.0, float(bounds.high))
    return Interval(rate=hits / n, low=low, high=high, n=n, unscored=unscored)


def paired_rates(gained: int, lost: int, n: int, confidence: float = 0.95) -> Bounds:
    """The difference of two shares of the same n items, with its two-sided score interval.

    gained: items that count in the second share only; lost: in the first only. Tango 1998, Statistics in Medicine
    17:891: the values that the score test for a paired difference does not reject. [-1, 1] for n = 0.
    """
    if n == 0:
        return Bounds(0.0, -1.0, 1.0)
    value, z = (gained - lost) / n, NormalDist().inv_cdf(0.5 + confidence / 2)
    low = _crossing(gained, lost, n, -1.0, value, z)
    high = -_crossing(lost, gained, n, -1.0, -value, z)
    return Bounds(value, low, high)


def unpaired_rates(one: Interval, other: Interval) -> Bounds:
    """one - other, two shares of different items (n > 0 each), with its 95 % interval.

    Newcombe 1998, Statistics in Medicine 17:873, method 10: from the two Wilson intervals.
    """
    value = one.rate - other.rate
    low = value - math.hypot(one.rate - one.low, other.high - other.rate)
    return Bounds(value, low, value + math.hypot(one.high - one.rate, other.rate - other.low))


def _crossing(gained: int, lost: int, n: int, outside: float, inside: float, z: float) -> float:
    """The difference with score z, between `outside`, which the score test rejects, and `inside`, which it does not."""
    for _ in range(40):
        middle = (outside + inside) / 2
        if _score(gained, lost, n, middle) > z:
            outside = middle
        else:
            inside = middle
    return (outside + inside) / 2


def _score(gained: int, lost: int, n: int, delta: float) -> float:
    """Tango's score for the difference delta, with the nuisance share at its maximum likelihood estimate."""
    a, b, c = 2 * n, -gained - lost + (2 * n - gained + lost) * delta, -lost * delta * (1 - delta)
    share = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)
    variance = n * (2 * share + delta * (1 - delta))
    distance = gained - lost - n * delta
    if variance <= 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / math.sqrt(variance)


def rose_by_chance(gained: int, lost: int) -> float:
    """One-sided p of the exact McNemar test: at least so many of the changed items gained by chance alone."""
    if gained + lost == 0:
        return 1.0
    from scipy.stats import binom

    return float(binom.sf(gained - 1, gained + lost, 0.5))


def paired_mean(differences: Sequence[float], confidence: float = 0.95) -> Bounds:
    """The mean of paired differences in -1 to 1, with its interval.

    Agresti and Min 2005, Statistics in Medicine 24:729: half a pair is added to each of the four outcomes of a pair, so
    that a handful of equal differences is not certain. A difference may itself be a mean, hence Student's t.
    (0, -1, 1) for none, (d, -1, 1) for one.
    """
    n = len(differences)
    if n < 2:
        return Bounds((differences[0] if differences else 0.0), -1.0, 1.0)
    from scipy.stats import t

    centre, error = _adjusted_mean(differences)
    reach = float(t.ppf(0.5 + confidence / 2, n - 1)) * error
    return Bounds(sum(differences) / n, max(-1.0, centre - reach), min(1.0, centre + reach))


def _adjusted_mean(differences: Sequence[float]) -> tuple[float, float]:
    """The mean with half a pair added to each of the four outcomes, and its standard error."""
    n = len(differences)
    centre = sum(differences) / (n + 2)
    variance = ((sum(d * d for d in differences) + 1) / (n + 2) - centre**2) / (n + 2)
    return centre, math.sqrt(max(0.0, variance))


def paired_ratio(
    old: Sequence[float], new: Sequence[float], sizes: Sequence[float], confidence: float = 0.95
) -> Bounds:
    """(sum of new - sum of old) / sum of sizes, over two units or more, with its interval.

    With nats and tokens of passages: the mean difference of log-probability per token. Ratio estimator of clusters with
    linearised variance (Cochran 1977, Sampling Techniques, section 6.3) and the quantile of Student's t.
    """
    from scipy.stats import t

    total, n = sum(sizes), len(sizes)
    changes = [after - before for before, after in zip(old, new, strict=True)]
    value = sum(changes) / total
    spread = sum((change - value * size) ** 2 for change, size in zip(changes, sizes, strict=True))
    reach = float(t.ppf(0.5 + confidence / 2, n - 1)) * math.sqrt(n / (n - 1) * spread) / total
    return Bounds(value, value - reach, value + reach)


def clustered(items: Sequence[tuple[int, int]], unscored: int = 0) -> Interval:
    """A share of all replies if items may have several: (hits, replies) of each item; `n` counts replies.

    Wilson's interval at the effective sample size (Korn and Graubard 1998, Survey Methodology 24:193; Dean and Pagano
    2015, Journal of Survey Statistics and Methodology 3:484). No bootstrap: its coverage collapses near 0 and 1 and for
    few items, where Wilson keeps its own (Brown, Cai and DasGupta 2001, Statistical Science 16:101).
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
    """How many independent replies carry as much information as these: (hits, replies) of each item.

    Replies divided by the design effect of the ratio estimator (Kish 1965), between the number of items and that of
    replies. If all replies are alike, the effect can't be estimated, and the result is the number of items.
    """
    drawn = [(hits, n) for hits, n in items if n]
    clusters, n = len(drawn), sum(n for _, n in drawn)
    if clusters == n:  # one reply an item
        return float(n)
    rate = sum(hits for hits, _ in drawn) / n
    if clusters < 2 or not 0 < rate < 1:
        return float(clusters)
    variance = clusters / (clusters - 1) * sum((hits - rate * m) ** 2 for hits, m in drawn) / n**2
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
    """Two-sided p of McNemar's score test (1947): of the items that turned, as many would turn either way.

    It is the test of `paired_rates`, so p is under 0.05 if, and only if, that interval leaves 0 out. The exact test is
    of another method and more often too cautious than this one is too bold (Fagerland, Lydersen and Laake 2013, BMC
    Medical Research Methodology 13:91).
    """
    turned = one_way + other_way
    return 2 * NormalDist().cdf(-abs(one_way - other_way) / math.sqrt(turned)) if turned else 1.0


def differ_by_chance(differences: Sequence[float]) -> float:
    """Two-sided p of the test of `paired_mean`: it is under 0.05 if, and only if, that interval leaves 0 out.

    1 for fewer than two, and if none differs.
    """
    if len(differences) < 2:
        return 1.0
    from scipy.special import stdtr

    centre, error = _adjusted_mean(differences)
    return 2 * float(stdtr(len(differences) - 1, -abs(centre) / error))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values in their order, adjusted for their number (Holm 1979, Scandinavian Journal of Statistics 6:65)."""
    if not p_values:
        return []
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method="holm")[1]]


def tarone_level(least: Sequence[float], alpha: float) -> float:
    """The level for each of several discrete tests, so that any of them errs with probability alpha at most.

    least: the smallest p that each test could give. Tarone 1990, Biometrics 46:515: tests that could never reject at
    the level take no share of it.
    """
    share = 1
    while sum(p <= alpha / share for p in least) > share:
        share += 1
    return alpha / share


_Z = 1.959964
"""Normal quantile of a 95 % interval."""


def corrected_share(judged: Interval, sensitivity: Interval, specificity: Interval) -> Interval | None:
    """The true share behind a critic that errs (Rogan and Gladen 1978, American Journal of Epidemiology 107:71).

    judged: share that the critic called positive; sensitivity, specificity: the critic's, each from labelled items of
    its own. The interval allows for the uncertainty of all three (Lang and Reiczigel 2014, Preventive Veterinary
    Medicine 113:13). None if the critic is no better than chance, or one of the three has no items.
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
