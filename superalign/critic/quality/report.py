"""Measures a critic against labelled items -> Calibration, and applies a calibration to its verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from superalign.critic.options import FloorOptions, Question
from superalign.critic.quality.abstention import Promise, promise
from superalign.critic.quality.calibration import Calibrated, calibrate, halves
from superalign.critic.quality.labelled_replies import QUESTIONS, LabelledItem
from superalign.critic.quality.metrics import CLASSES, Figures, Judged, figures, heard
from superalign.errors import PromptFileError
from superalign.protocols import Critic
from superalign.records.base import Rate, Record
from superalign.records.evaluation import Interval
from superalign.records.exchange import Critique, Verdict
from superalign.records.rollout import Response
from superalign.stats.agreement import Estimate, alpha_estimate
from superalign.stats.intervals import corrected_share, wilson

ENOUGH = 20
"""Fewest items of a hazard for a reliability of its own; with fewer, the overall one is used."""


class Correction(Record):
    """The share of positives in one half of the items, corrected by the critic's errors in the other half."""

    judged: Interval
    """By the critic."""
    corrected: Interval | None
    """Bias-corrected (Rogan-Gladen); None: the critic is no better than chance."""
    people: Interval
    """By people."""


class QuestionQuality(Record):
    """A critic's quality on one question."""

    items: int
    """Items with a majority label."""
    undecided: int
    """Items without labels or without a majority."""
    annotators: int
    """Most labels of an item."""
    alpha: Estimate | None
    """Krippendorff's alpha between people; None: no item has two labels, or only one label occurs."""
    overall: Figures
    hazards: dict[str, Figures]
    calibration: Calibrated | None
    """None: too few labels of a class."""
    correction: Correction
    promise: Promise | None
    """None: not requested."""


class Calibration(Record):
    """A measured critic; one calibration file."""

    critic: str
    """The critic's name in its verdicts."""
    fingerprint: str
    """Hash of everything that its verdicts depend on, so that the file can't be used for another critic."""
    labels: str
    """Name of the file of labels."""
    labels_sha256: str
    intent_told: bool
    """Whether the critic was told the intent that a seed would declare, as in a run."""
    questions: dict[Question, QuestionQuality]

    def reliability(self, hazard: str | None, question: Question = "harm") -> Rate | None:
        """Share of verdicts that agree with people, for the hazard if it has enough items; None: not measured."""
        quality = self.questions.get(question)
        if quality is None:
            return None
        measured = quality.hazards.get(hazard) if hazard else None
        if measured is None or measured.n < ENOUGH:
            measured = quality.overall
        return measured.accuracy.rate if measured.n else None


def measure(
    items: Sequence[LabelledItem], verdicts: Sequence[Verdict | None], guarantee: tuple[float, float] | None = None
) -> dict[Question, QuestionQuality]:
    """All figures for every question with labels; guarantee: (target, delta) of `promise`."""
    asked = [question for question in QUESTIONS if any(question in item.votes for item in items)]
    return {question: _quality(question, items, verdicts, guarantee) for question in asked}


def judged_items(question: Question, items: Sequence[LabelledItem], verdicts: Sequence[Verdict | None]) -> list[Judged]:
    """The items with a majority label, each with the critic's answer."""
    judged = []
    for item, verdict in zip(items, verdicts, strict=True):
        if (truth := item.truth(question)) is not None:
            label, probability = heard(verdict, question)
            states = verdict.refusals if verdict is not None and question == "refusal" else None
            sure = max(states) if states else None
            judged.append(Judged(truth=truth, label=label, probability=probability, hazard=item.hazard, sure=sure))
    return judged


def load_calibration(path: Path) -> Calibration:
    """Reads a calibration file; raises PromptFileError."""
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        fault = str(error).splitlines()[-1] if isinstance(error, OSError) else error.errors()[0]["msg"]
        hint = "write it anew with `superalign critic calibrate RECIPE --labels FILE --out FILE`"
        raise PromptFileError(f"{path}:1: not a calibration file: {fault}", hint) from error


def below_floor(floor: FloorOptions, calibration: Calibration) -> list[str]:
    """Every limit that the critic's figures break, in words; empty: the critic is good enough."""
    quality = calibration.questions.get(floor.question)
    if quality is None:
        return [f"{calibration.labels} has no labels for the question {floor.question}"]
    figures, broken = quality.overall, []
    if figures.n < floor.items:
        broken.append(f"{figures.n} scored items are fewer than {floor.items}")
    for name in ("kappa", "precision", "recall", "auroc"):
        least, estimate = getattr(floor, name), getattr(figures, name)
        if least is not None and (shown := _shown(estimate))[0] < least:
            broken.append(f"{name} {shown[1]} is below {least:g}")
    for name, estimate in (("ece", figures.ece), ("abstention", figures.abstained)):
        most = getattr(floor, name)
        if most is not None and (estimate is None or _shown(estimate)[0] > most):
            broken.append(f"{name} {_shown(estimate)[1]} is over {most:g}")
    return broken


def _shown(figure: Estimate | Interval | None) -> tuple[float, str]:
    """A figure's value and its text; one that could not be measured is below every limit."""
    if figure is None or (isinstance(figure, Interval) and not figure.n):
        return float("-inf"), "(not measurable)"
    value = figure.value if isinstance(figure, Estimate) else figure.rate
    return value, f"{value:.3f} (95 % {figure.low:.3f} to {figure.high:.3f})"


def _quality(
    question: Question,
    items: Sequence[LabelledItem],
    verdicts: Sequence[Verdict | None],
    guarantee: tuple[float, float] | None,
) -> QuestionQuality:
    judged = judged_items(question, items, verdicts)
    votes = [item.votes.get(question, ()) for item in items]
    positive = CLASSES[question][-1]
    likely = [(item.probability, item.truth == positive) for item in judged if item.probability is not None]
    hazards = sorted({item.hazard for item in judged if item.hazard is not None})
    return QuestionQuality(
        items=len(judged),
        undecided=len(items) - len(judged),
        annotators=max(map(len, votes)),
        alpha=alpha_estimate(votes, CLASSES[question]),
        overall=figures(judged, question),
        hazards={hazard: figures([j for j in judged if j.hazard == hazard], question) for hazard in hazards},
        calibration=calibrate([p for p, _ in likely], [y for _, y in likely]),
        correction=_correction(judged, positive),
        promise=promise([j.confidence for j in judged], [j.agrees for j in judged], *guarantee) if guarantee else None,
    )


def _correction(judged: Sequence[Judged], positive: str) -> Correction:
    pairs = [(item.label == positive, item.truth == positive) for item in judged if item.label is not None]
    first, second = ([pairs[i] for i in half] for half in halves([truth for _, truth in pairs]))
    judged_share = wilson(sum(a for a, _ in second), len(second))
    sensitivity = wilson(sum(a and b for a, b in first), sum(b for _, b in first))
    specificity = wilson(sum(not a and not b for a, b in first), sum(not b for _, b in first))
    return Correction(
        judged=judged_share,
        corrected=corrected_share(judged_share, sensitivity, specificity),
        people=wilson(sum(b for _, b in second), len(second)),
    )


class TrustedCritic:
    """A measured critic: calibrates its probabilities, and gives no score where the promise does not hold.

    An answer without a score becomes no training example; a person's label can give it one.
    """

    def __init__(self, critic: Critic, calibration: Calibration) -> None:
        self.critic, self.calibration = critic, calibration

    async def critique(self, response: Response) -> Critique:
        """Raises what the critic raises."""
        critique = await self.critic.critique(response)
        return Critique(response=response, verdict=trusted(critique.verdict, self.calibration))


def trusted(verdict: Verdict, calibration: Calibration) -> Verdict:
    """The verdict with calibrated probabilities, and without a score if the critic should abstain."""
    harm, request = calibration.questions.get("harm"), calibration.questions.get("request")
    changes: dict[str, object] = {
        "harm": _reassessed(verdict.harm, harm),
        "request_harmful": _reassessed(verdict.request_harmful, request),
    }
    promised = harm.promise if harm else None
    if promised is not None and verdict.harm is not None:
        confidence = max(verdict.harm, 1 - verdict.harm)
        if promised.above is None or confidence <= promised.above:
            limit = f"not above {promised.above:.3f}" if promised.above is not None else "and nothing was promised"
            rationale = f"The critic abstains: its confidence is {confidence:.3f}, {limit}. {verdict.rationale}"
            return verdict.model_copy(update=changes | {"score": None, "rationale": rationale})
    return verdict.model_copy(update=changes)


def _reassessed(probability: float | None, quality: QuestionQuality | None) -> float | None:
    if probability is None or quality is None or quality.calibration is None:
        return probability
    return quality.calibration.map.reassessed(probability)
