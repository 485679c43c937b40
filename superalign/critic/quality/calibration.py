"""Calibrates probabilities: a map is fitted on one half of the labels and evaluated on the other. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from superalign.critic.quality.metrics import ece
from superalign.records.base import Rate, Record
from superalign.stats.agreement import Floats

Method = Literal["platt", "isotonic"]
FEWEST = 20
"""Fewest items of each label for a fit."""
_FOLDS = 5
_EDGE = 1e-4
"""Probabilities are clipped this far from 0 and 1 before taking log-odds."""
_GRID = np.linspace(0.0, 1.0, 101)


class CalibrationMap(Record):
    """Maps a probability to a calibrated one, linearly between knots."""

    method: Method
    x: tuple[Rate, ...]
    """Ascending."""
    y: tuple[Rate, ...]

    def calibrated(self, probability: float) -> float:
        """The calibrated probability."""
        return float(np.interp(probability, self.x, self.y))

    def reassessed(self, probability: float) -> float:
        """The calibrated probability, kept on the critic's side of 0.5 so that its decision stays."""
        value = self.calibrated(probability)
        return max(value, 0.5) if probability >= 0.5 else min(value, float(np.nextafter(0.5, 0.0)))


class Quality(Record):
    """How well calibrated probabilities are."""

    ece: Rate
    """Expected calibration error."""
    brier: Rate
    """Mean squared error of the probability (Brier 1950)."""


class Calibrated(Record):
    """The map that cross-validation chose on one half, and the quality of all maps on the other half."""

    map: CalibrationMap
    fitted_on: int
    reported_on: int
    before: Quality
    """Quality of the critic's own probabilities on the half that is reported on."""
    after: dict[Method, Quality]


def halves(actual: Sequence[bool], seed: int = 0) -> tuple[list[int], list[int]]:
    """Two halves of the items at random, with the same share of positives: their places, ascending."""
    order = np.random.default_rng(seed).permutation(len(actual))
    dealt = [i for side in (True, False) for i in order if actual[i] == side]
    return sorted(map(int, dealt[::2])), sorted(map(int, dealt[1::2]))


def calibrate(probabilities: Sequence[float], actual: Sequence[bool]) -> Calibrated | None:
    """Fit both kinds of map on one half; None where a label has fewer than `FEWEST` items."""
    if min(sum(actual), len(actual) - sum(actual)) < FEWEST:
        return None
    p, y = np.asarray(probabilities, dtype=float), np.asarray(actual, dtype=bool)
    first, second = halves(actual)
    maps = {method: fitter(p[first], y[first]) for method, fitter in _FITTERS.items()}
    losses = {method: _validated(fitter, p[first], y[first]) for method, fitter in _FITTERS.items()}
    return Calibrated(
        map=maps[min(losses, key=lambda method: losses[method])],
        fitted_on=len(first),
        reported_on=len(second),
        before=_quality(p[second], y[second]),
        after={method: _quality(_applied(fitted, p[second]), y[second]) for method, fitted in maps.items()},
    )


def fit_platt(probabilities: Floats, actual: NDArray[Any]) -> CalibrationMap:
    """A logistic curve of the log-odds, with smoothed targets (Platt 1999, section 2.2), as knots."""
    from sklearn.linear_model import LogisticRegression

    positives = int(actual.sum())
    target = np.where(actual, (positives + 1) / (positives + 2), 1 / (len(actual) - positives + 2))
    odds = _log_odds(probabilities)
    curve = LogisticRegression(C=1e6).fit(
        np.concatenate([odds, odds]),
        np.repeat([1, 0], len(actual)),
        sample_weight=np.concatenate([target, 1 - target]),  # each item is both, as far as its target says
    )
    return _as_map("platt", _GRID, curve.predict_proba(_log_odds(_GRID))[:, 1])


def fit_isotonic(probabilities: Floats, actual: NDArray[Any]) -> CalibrationMap:
    """The ascending step function nearest to the labels (Zadrozny and Elkan 2002, KDD), as knots."""
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(y_min=0.0, y_max=1.0, out_of_bounds="clip").fit(probabilities, actual.astype(float))
    return _as_map("isotonic", fitted.X_thresholds_, fitted.y_thresholds_)


_FITTERS: Mapping[Method, Callable[[Floats, NDArray[Any]], CalibrationMap]] = {
    "platt": fit_platt,
    "isotonic": fit_isotonic,
}


def _validated(fitter: Callable[[Floats, NDArray[Any]], CalibrationMap], p: Floats, y: NDArray[Any]) -> float:
    """Brier score by cross-validation."""
    from sklearn.model_selection import StratifiedKFold

    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0).split(p, y)
    return float(np.mean([_quality(_applied(fitter(p[i], y[i]), p[j]), y[j]).brier for i, j in folds]))


def _log_odds(probabilities: Floats) -> Floats:
    clipped = np.clip(probabilities, _EDGE, 1 - _EDGE)
    odds: Floats = np.log(clipped / (1 - clipped))[:, None]
    return odds


def _as_map(method: Method, x: Floats, y: Floats) -> CalibrationMap:
    return CalibrationMap(method=method, x=tuple(map(float, np.clip(x, 0, 1))), y=tuple(map(float, np.clip(y, 0, 1))))


def _applied(fitted: CalibrationMap, probabilities: Floats) -> Floats:
    return np.array([fitted.calibrated(p) for p in probabilities])


def _quality(probabilities: Floats, actual: NDArray[Any]) -> Quality:
    return Quality(ece=min(1.0, ece(probabilities, actual) or 0.0), brier=float(((probabilities - actual) ** 2).mean()))
