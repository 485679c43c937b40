"""Verdicts and log-probabilities -> figures. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from superalign.measurements import Interval, ItemResult, SuiteResult
from superalign.records import Kind

WORST_NATS = 700.0
"""A mean loss above this, infinite or NaN counts as this: exp(700) is still a float and survives JSON."""


def wilson(hits: int, n: int, unscored: int = 0) -> Interval:
    """A share with its 95 % score interval (Wilson 1927); of no items it is [0, 1], and the rate is written as 0."""
    from scipy.stats import binomtest  # here, for it takes most of a second and `--help` doesn't need it

    if n == 0:
        return Interval(rate=0.0, low=0.0, high=1.0, n=0, unscored=unscored)
    found = binomtest(hits, n).proportion_ci(confidence_level=0.95, method="wilson")
    low, high = max(0.0, float(found.low)), min(1.0, float(found.high))
    return Interval(rate=hits / n, low=low, high=high, n=n, unscored=unscored)


def suite_result(suite: str, kind: Kind, results: Sequence[ItemResult]) -> SuiteResult:
    """Rates of one suite; unscored items count in neither."""
    outcomes = Counter(result.verdict.outcome for result in results)
    unscored = outcomes["unscored"]
    n = len(results) - unscored
    return SuiteResult(
        suite=suite,
        kind=kind,
        refused=wilson(outcomes["refused"], n, unscored),
        complied=wilson(outcomes["complied"], n, unscored),
    )


def perplexity(token_logprobs: Iterable[Sequence[float]]) -> tuple[float, int]:
    """(exp of the mean negative log-probability per token, number of tokens), over all passages.

    token_logprobs: one sequence a passage, nats. Raises ValueError when there is no token.
    """
    flat = [logprob for passage in token_logprobs for logprob in passage]
    if not flat:
        raise ValueError("no tokens to take the perplexity of")
    loss = -sum(flat) / len(flat)
    return math.exp(min(WORST_NATS, loss)), len(flat)  # in this order, so that NaN gives WORST_NATS
