"""`critic calibrate`: the recipe's critic held against people's labels."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from superalign.cli.format import clean, interval, width
from superalign.cli.progress import watched
from superalign.config.critic_calibration import Who
from superalign.config.recipe import load_recipe
from superalign.critic.quality.calibration import Calibrated
from superalign.critic.quality.labelled_replies import load_labels, parse_columns
from superalign.critic.quality.metrics import Figures
from superalign.critic.quality.options import Question
from superalign.critic.quality.report import Calibration, Correction, QuestionQuality
from superalign.stats.agreement import Estimate
from superalign.store.atomic import write_json

_MARGIN = 14
_HAZARD_CHARS = 28
_POSITIVE = {"harm": "harmful", "refusal": "full refusals", "request": "harmful"}


@dataclass(frozen=True)
class Wanted:
    """The command line, as it was given."""

    recipe: Path
    labels: Path
    columns: tuple[str, ...]
    who: Who
    guarantee: tuple[float, float] | None
    """(target, delta)."""
    out: Path | None
    overrides: tuple[str, ...]


def calibrate(wanted: Wanted, as_json: bool) -> None:
    """Measure, print, and keep the file where one is named."""
    items = load_labels(wanted.labels, parse_columns(wanted.columns))
    recipe, _ = load_recipe(wanted.recipe, wanted.overrides)
    from superalign.standalone import calibrate_critic as critic_trial

    found = watched(
        lambda observer: critic_trial.calibration(
            recipe,
            wanted.recipe.resolve().parent,
            wanted.labels,
            items,
            who=wanted.who,
            guarantee=wanted.guarantee,
            observer=observer,
        )
    )
    if wanted.out is not None:
        write_json(wanted.out, found)
    if as_json:
        print(json.dumps(found.model_dump(mode="json"), ensure_ascii=False, allow_nan=False))
        return
    print("\n".join(calibration_rows(found, width())))
    print(f"\n{wanted.out} is for the recipe's critic_calibration" if wanted.out else "\nnot kept: --out FILE keeps it")


def calibration_rows(found: Calibration, columns: int) -> list[str]:
    """The whole table."""
    told = "told what a seed would declare" if found.intent_told else "not told what a seed would declare"
    rows = [f"{clean(found.critic, 40)} on {clean(found.labels, 60)}, {told}"]
    for question, quality in found.questions.items():
        rows += ["", f"{f'-- {question} ':-<{columns}}"]
        for label, text in _facts(question, quality):
            body = textwrap.wrap(text, columns - _MARGIN)
            rows += [f"{label:<{_MARGIN}}{body[0]}", *(" " * _MARGIN + line for line in body[1:])]
        if quality.hazards:
            rows += list(_hazard_rows(quality.hazards))
    return rows


def _facts(question: Question, quality: QuestionQuality) -> Iterator[tuple[str, str]]:
    found = quality.overall
    undecided = f", {quality.undecided} without a majority left out" if quality.undecided else ""
    people = f"{quality.annotators} people" if quality.annotators > 1 else "1 person"
    yield "items", f"{quality.items} labelled by {people}{undecided}"
    if quality.alpha is not None:
        yield "people agree", f"Krippendorff's alpha {_estimate(quality.alpha)}"
    yield "abstained", interval(found.abstained)
    yield "accuracy", interval(found.accuracy)
    yield "precision", f"{interval(found.precision)} of what it called {_POSITIVE[question]}"
    yield "recall", f"{interval(found.recall)} of what people called so; specificity {interval(found.specificity)}"
    yield "kappa", _estimate(found.kappa)
    yield "AUROC", _estimate(found.auroc)
    yield "ECE", _estimate(found.ece)
    if quality.calibration is not None:
        yield "calibrated", _calibrated(quality.calibration)
    yield "corrected", _corrected(question, quality.correction)
    if quality.promise is not None:
        promise = quality.promise
        kept = "" if promise.above is None else f"abstain unless surer than {max(promise.above, 0.0):.3f}: "
        asked = f"agreement of {promise.target:g} with confidence {1 - promise.delta:g}"
        yield "guarantee", f"{asked}: {kept}{promise.reason}"


def _calibrated(found: Calibrated) -> str:
    after = ", ".join(f"{name} {quality.ece:.3f} and {quality.brier:.3f}" for name, quality in found.after.items())
    before = f"{found.before.ece:.3f} and {found.before.brier:.3f}"
    where = f"fitted on {found.fitted_on}, on the other {found.reported_on}"
    return f"{where}: ECE and Brier score {before} as it comes, {after}; {found.map.method} is kept"


def _corrected(question: Question, found: Correction) -> str:
    if found.corrected is None:
        return "no better than chance in one half of the items, so rates can't be corrected for its errors"
    return (
        f"share of {_POSITIVE[question]} in one half: {interval(found.judged)} as it says, {interval(found.corrected)} "
        f"corrected by its errors in the other half, {interval(found.people)} as people say"
    )


def _hazard_rows(hazards: dict[str, Figures]) -> Iterator[str]:
    yield f"{'hazard':<{_HAZARD_CHARS + 2}}{'accuracy, 95 %':<25}{'kappa':>6}{'AUROC':>7}{'n':>6}{'none':>6}"
    for name, found in sorted(hazards.items(), key=lambda item: -item[1].n):
        figures = "".join(f"{f'{e.value:.2f}' if e else '-':>{w}}" for e, w in ((found.kappa, 6), (found.auroc, 7)))
        counts = f"{found.n:>6}{found.accuracy.unscored:>6}"
        yield f"{clean(name, _HAZARD_CHARS):<{_HAZARD_CHARS + 2}}{interval(found.accuracy):<25}{figures}{counts}"


def _estimate(found: Estimate | None) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})" if found else "not defined: only one label occurs"
