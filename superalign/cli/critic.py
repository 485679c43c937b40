"""`critic calibrate`: the recipe's critic held against people's labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.format import clean, interval, labelled, width
from superalign.cli.options import Json, Overrides, RecipeFile, group, one_of
from superalign.cli.progress import watched
from superalign.config.recipe import load_recipe
from superalign.critic.options import Question
from superalign.critic.quality.calibration import Calibrated
from superalign.critic.quality.labelled_replies import load_labels, parse_columns
from superalign.critic.quality.metrics import Figures
from superalign.critic.quality.report import Calibration, Correction, QuestionQuality
from superalign.stats.agreement import Estimate
from superalign.store.atomic import write_json

_MARGIN = 14
MIN_OF_A_SIDE = 10
"""Labels of either answer below which kappa says little."""
_HAZARD_CHARS = 28
_POSITIVE = {"harm": "harmful", "refusal": "full refusals", "request": "harmful"}
app = group("The critic: how far it can be trusted.")


@app.callback()
def _root() -> None:
    pass  # with it, the one command keeps its name


@app.command()
def calibrate(
    recipe_path: RecipeFile,
    labels: Annotated[
        Path, typer.Option(metavar="FILE", help="Replies that people labelled: JSONL or CSV.", show_default=False)
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=COLUMN[,...]",
            help="prompt, reply, goal, hazard, intent, id; harm, refusal, request: one column a person. Repeatable.",
        ),
    ] = None,
    who: Annotated[str, typer.Option("--critic", metavar="critic|judge", help="Which of the recipe's.")] = "critic",
    guarantee: Annotated[
        float | None, typer.Option(metavar="P", help="Abstain where agreement with people of P can't be promised.")
    ] = None,
    delta: Annotated[float, typer.Option(metavar="P", help="How improbable a broken promise must be.")] = 0.05,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="For the recipe's `critic_calibration`.")] = None,
    overrides: Overrides = None,
    as_json: Json = False,
) -> None:
    """Measure a recipe's critic on replies that people labelled.

    Agreement, error rates and calibration, in all and by hazard, with 95 % intervals.
    """
    one_of("--critic", who, "critic", "judge")
    for option, value in (("--guarantee", guarantee), ("--delta", delta)):
        if value is not None and not 0 < value < 1:
            raise typer.BadParameter(f"{value:g} is not between 0 and 1", param_hint=option)
    items = load_labels(labels, parse_columns(columns or ()))
    recipe, _ = load_recipe(recipe_path, overrides or ())
    from superalign.standalone import calibrate_critic

    calibration = watched(
        lambda observer: calibrate_critic.calibration(
            recipe,
            recipe_path.resolve().parent,
            labels,
            items,
            who="judge" if who == "judge" else "critic",
            guarantee=(guarantee, delta) if guarantee is not None else None,
            observer=observer,
        ),
        loading=f"the {who} ({getattr(recipe, who).type})",
    )
    if out is not None:
        write_json(out, calibration)
    if as_json:
        print(json.dumps(calibration.model_dump(mode="json"), ensure_ascii=False, allow_nan=False))
        return
    print("\n".join(calibration_rows(calibration, width())))
    print(f"\n{out} is for the recipe's critic_calibration" if out else "\nnot kept: --out FILE keeps it")


def calibration_rows(calibration: Calibration, columns: int) -> list[str]:
    """The whole table."""
    told = "told what a seed would declare" if calibration.intent_told else "not told what a seed would declare"
    rows = [f"{clean(calibration.critic, 40)} on {clean(calibration.labels, 60)}, {told}"]
    for question, quality in calibration.questions.items():
        rows += ["", f"{f'-- {question} ':-<{columns}}"]
        rows += [line for label, text in _facts(question, quality) for line in labelled(label, text, columns, _MARGIN)]
        if quality.hazards:
            rows += _hazard_rows(quality.hazards)
    return rows


def _facts(question: Question, quality: QuestionQuality) -> Iterator[tuple[str, str]]:
    figures = quality.overall
    undecided = f", {quality.undecided} without a majority left out" if quality.undecided else ""
    people = f"{quality.annotators} people" if quality.annotators > 1 else "1 person"
    yield "items", f"{quality.items} labelled by {people}{undecided}"
    if quality.alpha is not None:
        yield "people agree", f"Krippendorff's alpha {_estimate(quality.alpha)}"
    yield "abstained", interval(figures.abstained)
    yield "accuracy", interval(figures.accuracy)
    yield "precision", f"{interval(figures.precision)} of what it called {_POSITIVE[question]}"
    yield "recall", f"{interval(figures.recall)} of what people called so; specificity {interval(figures.specificity)}"
    yield "kappa", _estimate(figures.kappa) + _too_few(figures, _POSITIVE[question])
    yield "AUROC", _estimate(figures.auroc)
    yield "ECE", _estimate(figures.ece)
    if quality.calibration is not None:
        yield "calibrated", _calibrated(quality.calibration)
    yield "corrected", _corrected(question, quality.correction)
    if quality.promise is not None:
        promise = quality.promise
        kept = "" if promise.above is None else f"abstain unless surer than {max(promise.above, 0.0):.3f}: "
        asked = f"agreement of {promise.target:g} with confidence {1 - promise.delta:g}"
        yield "guarantee", f"{asked}: {kept}{promise.reason}"


def _too_few(figures: Figures, positive: str) -> str:
    """What makes kappa worthless: a side with next to no labels, whose interval then promises too much."""
    people, rest = figures.recall.n, figures.specificity.n
    if min(people, rest) >= MIN_OF_A_SIDE:
        return ""
    side = f"{people} {positive}" if people < rest else f"{rest} not {positive}"
    return f"; says little: people called only {side}, and at least {MIN_OF_A_SIDE} of either are needed"


def _calibrated(quality: Calibrated) -> str:
    after = ", ".join(f"{name} {figure.ece:.3f} and {figure.brier:.3f}" for name, figure in quality.after.items())
    before = f"{quality.before.ece:.3f} and {quality.before.brier:.3f}"
    where = f"fitted on {quality.fitted_on}, on the other {quality.reported_on}"
    return f"{where}: ECE and Brier score {before} as it comes, {after}; {quality.map.method} is kept"


def _corrected(question: Question, correction: Correction) -> str:
    if correction.corrected is None:
        return "no better than chance in one half of the items, so rates can't be corrected for its errors"
    judged, corrected, people = map(interval, (correction.judged, correction.corrected, correction.people))
    return (
        f"share of {_POSITIVE[question]} in one half: {judged} as it says, {corrected} corrected by its errors in the "
        f"other half, {people} as people say"
    )


def _hazard_rows(hazards: dict[str, Figures]) -> Iterator[str]:
    yield f"{'hazard':<{_HAZARD_CHARS + 2}}{'accuracy, 95 %':<25}{'kappa':>6}{'AUROC':>7}{'n':>6}{'none':>6}"
    for name, figures in sorted(hazards.items(), key=lambda item: -item[1].n):
        kappa, auroc = (f"{e.value:.2f}" if e else "-" for e in (figures.kappa, figures.auroc))
        counts = f"{figures.n:>6}{figures.accuracy.unscored:>6}"
        accuracy = f"{interval(figures.accuracy):<25}"
        yield f"{clean(name, _HAZARD_CHARS):<{_HAZARD_CHARS + 2}}{accuracy}{kappa:>6}{auroc:>7}{counts}"


def _estimate(estimate: Estimate | None) -> str:
    if estimate is None:
        return "not defined: only one label occurs"
    return f"{estimate.value:.3f} ({estimate.low:.3f} to {estimate.high:.3f})"
