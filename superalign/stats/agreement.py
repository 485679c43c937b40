"""Agreement beyond chance as functions of counts, so that a bootstrap is one call over an array. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superalign.records.base import Record

RESAMPLES = 1000
"""Resamples of a bootstrap."""
Floats = NDArray[np.float64]


class Estimate(Record):
    """A figure with its 95 % interval (percentile bootstrap over items, Efron 1979)."""

    value: float
    low: float
    high: float


def cohen_kappa(counts: NDArray[Any]) -> Floats:
    """Cohen 1960, Educational and Psychological Measurement 20:37. NaN if chance alone would agree throughout.

    counts: (..., k, k), how often one side chose the row's class and the other the column's. Returns (...).
    """
    counts = np.asarray(counts, dtype=float)
    n = counts.sum((-1, -2))
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = np.trace(counts, axis1=-2, axis2=-1) / n
        expected = (counts.sum(-1) * counts.sum(-2)).sum(-1) / n**2
        kappa: Floats = np.where(np.isclose(expected, 1.0), np.nan, (observed - expected) / (1.0 - expected))
    return kappa


def coincidences(units: Sequence[Sequence[str | None]], classes: Sequence[str]) -> Floats:
    """(units, k, k): the coincidence matrix of each unit with two or more labels."""
    place = {name: index for index, name in enumerate(classes)}
    matrices = []
    for unit in units:
        counts = np.zeros(len(classes))
        for label in unit:
            if label is not None:
                counts[place[label]] += 1
        if (m := counts.sum()) >= 2:
            matrices.append((np.outer(counts, counts) - np.diag(counts)) / (m - 1))
    return np.asarray(matrices, dtype=float).reshape(-1, len(classes), len(classes))


def krippendorff_alpha(matrix: NDArray[Any]) -> Floats:
    """Nominal alpha (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C).

    matrix: (..., k, k), coincidences summed over units. Returns (...); NaN if only one class occurs.
    """
    n_c = matrix.sum(-1)
    n = n_c.sum(-1)
    disagreeing = n - np.trace(matrix, axis1=-2, axis2=-1)
    spread = n**2 - (n_c**2).sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        alpha: Floats = np.where(spread > 1e-12, 1.0 - (n - 1) * disagreeing / spread, np.nan)
    return alpha


def kappa_estimate(answers: Sequence[str], truth: Sequence[str], classes: Sequence[str]) -> Estimate | None:
    """Cohen's kappa with its interval; None if it is not defined."""
    place = {name: index for index, name in enumerate(classes)}
    k = len(classes)
    cells = np.bincount([place[a] * k + place[b] for a, b in zip(answers, truth, strict=True)], minlength=k * k)
    return resampled(cells, lambda counts: cohen_kappa(counts.reshape(-1, k, k)))


def alpha_estimate(units: Sequence[Sequence[str | None]], classes: Sequence[str]) -> Estimate | None:
    """Krippendorff's alpha with its interval over units; None if nothing can be compared."""
    matrices = coincidences(units, classes)
    k = len(classes)
    flat = matrices.reshape(-1, k * k)
    return resampled(
        np.ones(len(matrices), dtype=int), lambda counts: krippendorff_alpha((counts @ flat).reshape(-1, k, k))
    )


def resampled(cells: NDArray[Any], figure: Callable[[NDArray[Any]], Floats]) -> Estimate | None:
    """A figure of counted cells with its bootstrap interval; None if the figure is not defined.

    cells: (c,), number of items in each; figure: (resamples, c) -> (resamples,), NaN where not defined.
    """
    n = int(cells.sum())
    if n == 0 or not np.isfinite(value := float(figure(cells[None, :])[0])):
        return None
    drawn = figure(np.random.default_rng(0).multinomial(n, cells / n, size=RESAMPLES))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value=value, low=float(low), high=float(high))
