"""When to trust the critic and when to ask a person: an abstention threshold with a guarantee. Pure.

Jung, Brahman and Choi 2024, "Trust or Escalate" (arXiv 2407.18370), section 2.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from superalign.records.base import Rate, Record

_LEVELS = 12
_SPARE = 2
"""Disagreements with which the first test can still be passed, so that a single one does not end the search."""


_FIRST_SHARE = 0.2
"""Least share of the verdicts that the first test accepts; fewer would be surer, but too few to prove it."""


class Promise(Record):
    """Agreement with people on accepted items is at least `target` with confidence 1 - `delta`; or why not."""

    target: Rate
    delta: Rate
    above: float | None
    """A verdict is accepted if its confidence is greater; -1: accept all. None: nothing can be promised."""
    labels: int
    """Labelled items used, a random sample of what the critic judges."""
    accepted: int = 0
    """Accepted items among them."""
    agreed: int = 0
    """Accepted items where critic and people agree."""
    bound: Rate = 0.0
    """Clopper-Pearson lower bound of the agreement on accepted items, at 1 - delta."""
    needed: int | None = None
    """If nothing is promised: about how many labels might suffice. None: more labels won't help this critic."""
    reason: str


def agreement_bound(agreed: int, n: int, delta: float) -> float:
    """Lower bound of a share at confidence 1 - delta (Clopper and Pearson 1934, one-sided)."""
    from scipy.special import betaincinv  # slow to import, and recipes import this package

    return 0.0 if agreed == 0 else float(betaincinv(agreed, n - agreed + 1, delta))


@lru_cache
def fewest_labels(target: float, delta: float, disagreements: int = 0) -> int:
    """The fewest items that prove an agreement of at least `target` with this many disagreements among them."""
    n = math.ceil(math.log(delta) / math.log(target)) + disagreements  # target^n <= delta, had there been none
    while agreement_bound(n - disagreements, n, delta) < target:
        n += 1
    return n


def promise(confidences: Sequence[float], agrees: Sequence[bool], target: float, delta: float) -> Promise:
    """The lowest threshold that keeps the promise; confidences: 0.5 to 1, or 0 for items without a verdict.

    Thresholds are tested from the strictest on, each with an exact binomial bound at level `delta`, until one fails
    (fixed-sequence testing, which needs no correction for their number). They are order statistics of the confidences,
    so they do not depend on labels; given the order statistic, the accepted items above it are an independent sample
    of all items that would be accepted. 0 < target, delta < 1.
    """
    items = sorted(zip(confidences, agrees, strict=True), key=lambda item: -item[0])
    judged = sum(confidence > 0 for confidence in confidences)
    fewest = fewest_labels(target, delta)
    if judged < fewest:
        return Promise(
            target=target, delta=delta, above=None, labels=len(items), needed=fewest,
            reason=f"too few labels: {judged} items with verdict and label, and the promise takes at least {fewest} "
            "even if critic and people agree on all of them",
        )  # fmt: skip
    kept: tuple[float, int, int] | None = None
    best = (0.0, 1.0)
    for count in _counts(judged, fewest, fewest_labels(target, delta, _SPARE)):
        above = -1.0 if count == len(items) else items[count][0]
        taken = [agreed for confidence, agreed in items if confidence > max(above, 0.0)]
        if len(taken) < fewest:  # items of equal confidence are accepted together
            continue
        best = max(best, (sum(taken) / len(taken), len(taken) / len(items)))
        if agreement_bound(sum(taken), len(taken), delta) < target:
            break
        kept = above, len(taken), sum(taken)
    if kept is None:
        return _none(len(items), *best, target, delta)
    above, accepted, agreed = kept
    bound = agreement_bound(agreed, accepted, delta)
    return Promise(
        target=target, delta=delta, above=above, labels=len(items), accepted=accepted, agreed=agreed, bound=bound,
        reason=f"{accepted} of {len(items)} accepted, {agreed} of them as people say: "
        f"agreement of at least {bound:.3f} with confidence {1 - delta:g}",
    )  # fmt: skip


def _counts(judged: int, fewest: int, sure: int) -> list[int]:
    """Number of items that each test accepts, ascending to all of them."""
    first = max(round(_FIRST_SHARE * judged), sure if judged >= sure else fewest)
    return sorted({round(first + (judged - first) * level / (_LEVELS - 1)) for level in range(_LEVELS)})


def _none(labels: int, agreement: float, coverage: float, target: float, delta: float) -> Promise:
    """No promise; agreement: the best that any test found, coverage: its share of the items."""
    seen = f"people agree with {agreement:.1%} of the critic's surest verdicts"
    if agreement <= target:
        return Promise(
            target=target, delta=delta, above=None, labels=labels,
            reason=f"{seen}, and {target:.1%} was asked for: more labels won't help, a better critic will",
        )  # fmt: skip
    n = round(labels * coverage)
    while agreement_bound(math.floor(agreement * n), n, delta) < target:
        n = math.ceil(n * 1.05)
    needed = math.ceil(n / coverage)
    return Promise(
        target=target, delta=delta, above=None, labels=labels, needed=needed,
        reason=f"too few labels: {seen}, too near to {target:.1%} to tell; about {needed} labels might do",
    )  # fmt: skip
