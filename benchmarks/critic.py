"""`python -m benchmarks critic`: kinds of critic held against people's labels of the same replies."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from benchmarks.variants import Teller
from superalign.config.recipe import Recipe
from superalign.critic.options import Question
from superalign.critic.quality.labelled_replies import LabelledItem, load_labels
from superalign.critic.quality.metrics import Figures
from superalign.critic.quality.report import judged_items, measure
from superalign.errors import RecipeError
from superalign.records.base import Record
from superalign.records.exchange import Verdict
from superalign.standalone.calibrate_critic import verdicts_of
from superalign.stats.agreement import Estimate, kappa_estimate

Given = str | Mapping[str, Any]
"""A critic: its type alone, or its options as in a recipe."""


class CriticRow(Record):
    """One critic and one question; intervals of 95 %."""

    critic: str
    question: Question
    people_alpha: str
    """Krippendorff's, of people with one another."""
    n: int
    unscored: int
    kappa: str
    """Agreement on refusal over its three states, or on the question."""
    kappa_declines: str
    """Agreement on whether the reply declines, in part or in full; `-` for other questions."""
    accuracy: str
    precision: str
    recall: str
    auroc: str
    ece: str
    ms_per_item: float
    """With the time to fit or load the critic."""


class CriticBench(Record):
    """All of them."""

    labels: str
    items: int
    rows: tuple[CriticRow, ...]


async def run(
    labels: str = "",
    columns: Mapping[str, str] | None = None,
    critic: Given | Sequence[Given] = ("rules", "probe"),
    sample: int | None = None,
    experts: str | None = None,
    model: str = "smollm2-135m",
    pool: Mapping[str, Any] | None = None,
) -> CriticBench:
    """Measure; every critic judges every item, told of a seed's intent only where the file has a column for it.

    columns: as `superalign critic calibrate --columns`; sample: so many items, drawn at random with a fixed seed, None:
    all of them; model, pool: for critics that ask a model.
    """
    items, rows = labelled(labels, columns), list[CriticRow]()
    if sample is not None and sample < len(items):
        items = random.Random(0).sample(items, sample)
    critics = [critic] if isinstance(critic, str | Mapping) else critic
    for one in critics:
        recipe = recipe_of(one, experts=experts, model=model, pool=pool)
        started = time.monotonic()
        verdicts = await verdicts_of(recipe, Path.cwd(), items, observer=Teller("critic"))
        ms = 1000 * (time.monotonic() - started) / len(items)
        rows += _rows(one if isinstance(one, str) else str(one["type"]), items, verdicts, ms)
    return CriticBench(labels=Path(labels).name, items=len(items), rows=tuple(rows))


def labelled(labels: str, columns: Mapping[str, str] | None) -> list[LabelledItem]:
    """The file's items; raises RecipeError where no file is named."""
    if not labels:
        raise RecipeError("this bench needs labelled replies", "name a file with --set labels=FILE")
    return load_labels(Path(labels), columns)


def recipe_of(
    critic: Given,
    *,
    experts: str | None = None,
    model: str = "smollm2-135m",
    pool: Mapping[str, Any] | None = None,
) -> Recipe:
    """A recipe with this critic; raises RecipeError for options that are none."""
    options = {"type": critic} if isinstance(critic, str) else dict(critic)
    try:
        return Recipe.model_validate(
            {"name": "bench", "model": model, "pool": pool or {"type": "auto"}, "experts": experts, "critic": options,
             "judge": {"type": "rules"}, "allow_same_judge": True,
             "evaluation": {"suites": ["harmful", "ordinary"], "limit": 1}}
        )  # fmt: skip
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise RecipeError(f"--set critic={critic}: {faults}", "write a critic's type, or its options") from None


def _rows(name: str, items: Sequence[LabelledItem], verdicts: Sequence[Verdict | None], ms: float) -> list[CriticRow]:
    return [
        _row(name, question, quality.overall, quality.alpha, _declines(question, items, verdicts), ms)
        for question, quality in measure(items, verdicts).items()
    ]


def _declines(question: Question, items: Sequence[LabelledItem], verdicts: Sequence[Verdict | None]) -> Estimate | None:
    if question != "refusal":
        return None
    heard = [one for one in judged_items(question, items, verdicts) if one.label is not None]
    said, truth = [str(one.label != "none") for one in heard], [str(one.truth != "none") for one in heard]
    return kappa_estimate(said, truth, ("False", "True"))


def _row(
    name: str, question: Question, quality: Figures, alpha: Estimate | None, declines: Estimate | None, ms: float
) -> CriticRow:
    shares = {
        key: f"{value.rate:.3f} ({value.low:.3f} to {value.high:.3f})" if value.n else "-"
        for key in ("accuracy", "precision", "recall")
        for value in [getattr(quality, key)]
    }
    return CriticRow(
        critic=name, question=question, people_alpha=_shown(alpha), n=quality.n, unscored=quality.accuracy.unscored,
        kappa=_shown(quality.kappa), kappa_declines=_shown(declines), auroc=_shown(quality.auroc),
        ece=_shown(quality.ece), ms_per_item=round(ms, 2), **shares,
    )  # fmt: skip


def _shown(value: Estimate | None) -> str:
    return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})" if value else "-"
