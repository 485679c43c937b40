"""Shares with their intervals. Pure."""

from __future__ import annotations

from superalign.measurements import Interval


def wilson(hits: int, n: int, unscored: int = 0) -> Interval:
    """A share with its 95 % score interval (Wilson 1927); of no items it is [0, 1], and the rate is written as 0."""
    from scipy.stats import binomtest  # here, for it takes most of a second and `--help` doesn't need it

    if n == 0:
        return Interval(rate=0.0, low=0.0, high=1.0, n=0, unscored=unscored)
    found = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    low, high = max(0.0, float(found.low)), min(1.0, float(found.high))
    return Interval(rate=hits / n, low=low, high=high, n=n, unscored=unscored)
