"""The share of harmful replies behind a critic that errs: a judged rate, corrected by its measured errors. Pure."""

from __future__ import annotations

import math

from superalign.records.evaluation import Interval

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
