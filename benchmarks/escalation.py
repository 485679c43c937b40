"""`python -m benchmarks escalation`: does `critic calibrate --guarantee` keep its promise, and does asking people about
what the critic is unsure of spend fewer labels than asking about anything?

The labelled items are taken for the whole population: labels are drawn from it at random with replacement, and what was
promised is held against the agreement in all of it, which is known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.critic import Given, labelled, recipe_of
from benchmarks.variants import Teller
from superalign.critic.options import Question
from superalign.critic.quality.abstention import promise
from superalign.critic.quality.metrics import Judged
from superalign.critic.quality.report import judged_items
from superalign.errors import RecipeError
from superalign.records.base import Record
from superalign.records.evaluation import Interval
from superalign.standalone.calibrate_critic import verdicts_of
from superalign.stats.intervals import wilson


class Promises(Record):
    """What came of the promises."""

    target: float
    delta: float
    labels: int
    """Drawn for each."""
    resamples: int
    made: Interval
    """Promises there were labels enough for."""
    broken: Interval
    """Resamples with a promise that the population does not keep; to be at most delta."""
    coverage: float
    """Mean share of the population that is accepted, where a promise was made."""
    agreement: float
    """Mean agreement of critic and people on what is accepted, where a promise was made."""


class Spending(Record):
    """Labels until people's labels, and the critic's where there is none, agree with people as far as asked for."""

    agreement: float
    unsure_first: float
    """Mean number of labels, asking about the least sure verdicts first."""
    random: float
    """Mean number of labels, asking in any order."""
    saved: float
    """Share of the labels that the first spends less; negative: it spends more."""
    saved_low: float
    saved_high: float
    """Middle 95 % of the resamples."""


class EscalationBench(Record):
    """Both."""

    labels: tuple[str, ...]
    """Files, pooled where there are several."""
    critic: str
    questions: tuple[Question, ...]
    """That of each file."""
    items: int
    """Items with a majority of people."""
    critic_agreement: float
    """Share of them with critic and people of one mind, before anybody is asked; no verdict is no agreement."""
    promises: tuple[Promises, ...]
    spending: tuple[Spending, ...]


async def run(
    labels: str | Sequence[str] = "",
    columns: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
    critic: Given = "probe",
    question: Question | Sequence[Question] = "harm",
    targets: Sequence[float] = (0.8, 0.9),
    delta: float = 0.1,
    draw: int | None = None,
    resamples: int = 500,
    experts: str | None = None,
    model: str = "smollm2-135m",
    pool: Mapping[str, Any] | None = None,
) -> EscalationBench:
    """Measure; draw: labels for a promise, None: as many as there are items.

    labels, columns, question: of one file, or a list with as many of each, whose items are pooled.
    """
    recipe, judged, files = recipe_of(critic, experts=experts, model=model, pool=pool), list[Judged](), _files(labels)
    questions = [question] * len(files) if isinstance(question, str) else list(question)
    named = [columns] * len(files) if columns is None or isinstance(columns, Mapping) else list(columns)
    if not len(files) == len(questions) == len(named):
        raise RecipeError(f"{len(files)} files of labels", "give a question and columns for each, or one for all")
    for file, asked, its_columns in zip(files, questions, named, strict=True):
        items = labelled(file, its_columns)
        verdicts = await verdicts_of(recipe, Path.cwd(), items, observer=Teller("escalation"))
        pairs = judged_items(asked, items, verdicts)
        if not pairs:
            raise RecipeError(f"--set question={asked}: {file} has no labels for it", "name a column of labels")
        judged += pairs
    return EscalationBench(
        labels=tuple(Path(file).name for file in files),
        critic=recipe.critic.type,
        questions=tuple(questions),
        items=len(judged),
        critic_agreement=sum(item.agrees for item in judged) / len(judged),
        promises=tuple(promises(judged, target, delta, draw or len(judged), resamples) for target in targets),
        spending=tuple(spending(judged, target, resamples) for target in (0.9, 0.95)),
    )


def _files(labels: str | Sequence[str]) -> list[str]:
    return [labels] if isinstance(labels, str) else list(labels)


def promises(judged: Sequence[Judged], target: float, delta: float, draw: int, resamples: int) -> Promises:
    """Draw labels, promise, look."""
    rng, confidences, agrees = np.random.default_rng(0), _confidences(judged), _agrees(judged)
    kept: list[tuple[float, float]] = []  # coverage and agreement in the population
    for _ in range(resamples):
        drawn = rng.integers(len(judged), size=draw)
        promised = promise(confidences[drawn].tolist(), agrees[drawn].tolist(), target, delta)
        if promised.above is not None:
            accepted = (confidences > promised.above) & (confidences > 0)
            kept.append((float(accepted.mean()), float(agrees[accepted].mean())))
    return Promises(
        target=target,
        delta=delta,
        labels=draw,
        resamples=resamples,
        made=wilson(len(kept), resamples),
        broken=wilson(sum(agreement < target for _, agreement in kept), resamples),
        coverage=sum(coverage for coverage, _ in kept) / max(1, len(kept)),
        agreement=sum(agreement for _, agreement in kept) / max(1, len(kept)),
    )


def spending(judged: Sequence[Judged], agreement: float, resamples: int) -> Spending:
    """Labels until the agreement is reached, over resamples of the items."""
    rng, confidences, agrees = np.random.default_rng(0), _confidences(judged), _agrees(judged)
    spent = []
    for _ in range(resamples):
        drawn = rng.integers(len(judged), size=len(judged))  # their order is the random one
        unsure = drawn[np.argsort(confidences[drawn], kind="stable")]
        spent.append((_labels_until(agrees[unsure], agreement), _labels_until(agrees[drawn], agreement)))
    first, second = np.array(spent, dtype=float).T
    saved = 1 - first / np.maximum(second, 1)
    low, high = np.percentile(saved, [2.5, 97.5])
    return Spending(
        agreement=agreement,
        unsure_first=float(first.mean()),
        random=float(second.mean()),
        saved=float(1 - first.mean() / max(second.mean(), 1.0)),
        saved_low=float(low),
        saved_high=float(high),
    )


def _labels_until(agrees: NDArray[Any], agreement: float) -> int:
    """How many items, from the first on, people must label until all agree so far."""
    wrong_left = (~agrees).sum() - np.concatenate([[0], np.cumsum(~agrees)])
    return int(np.argmax(wrong_left <= (1 - agreement) * len(agrees) + 1e-9))


def _confidences(judged: Sequence[Judged]) -> NDArray[np.float64]:
    return np.array([item.confidence for item in judged])


def _agrees(judged: Sequence[Judged]) -> NDArray[np.bool_]:
    return np.array([item.agrees for item in judged], dtype=bool)
