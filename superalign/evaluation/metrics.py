"""Verdicts and log-probabilities -> figures. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from superalign.intervals import wilson
from superalign.measurements import ItemResult, SuiteResult
from superalign.records import Kind

WORST_NATS = 700.0
"""A mean loss above this, infinite or NaN counts as this: exp(700) is still a float and survives JSON."""


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
