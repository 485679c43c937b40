"""`eval` and `compare`: any model, or base and adapter, on held-out prompts, outside of a run."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from superalign.cli.options import Json, one_of
from superalign.cli.progress import watched
from superalign.cli.text.evaluation import comparison_rows, evaluation_rows, figure_rows
from superalign.errors import PromptFileError
from superalign.evaluation.load_suites import kind_and_source, parse_source
from superalign.evaluation.options import SuiteSource
from superalign.records.base import HOTTEST

if TYPE_CHECKING:
    from superalign.evaluation.paired_comparison import Compared
    from superalign.records.evaluation import Evaluation
    from superalign.standalone.evaluate_models import EvaluationSettings


Suites = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[KIND:][NAME=]FILE[:n]",
        help="Held-out prompts: a shipped suite or a file; KIND is harmful, lookalike, ordinary, capability or "
        "injection. Repeatable.",
    ),
]
Where = Annotated[
    list[str] | None,
    typer.Option(metavar="[NAME:]COL=VALUE", help="Keep these rows (COL!=VALUE: the others), of suite NAME or of all."),
]
PlainText = Annotated[str | None, typer.Option(metavar="FILE", help="Passages to measure perplexity on.")]
LmEval = Annotated[
    list[str] | None, typer.Option(metavar="TASK", help="A task of lm-eval, or a YAML file of its form. Repeatable.")
]
Judge = Annotated[
    str,
    typer.Option(metavar="KIND|FILE", help="rules, probe, strongreject, ..., or FILE: a critic's options, YAML."),
]
CalibrationFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Of the judge, from `critic calibrate`: shares are corrected by its errors."),
]
MaxTokens = Annotated[int, typer.Option(min=1, metavar="N", help="Of a reply.")]
MaxChars = Annotated[int | None, typer.Option(min=1, metavar="N", help="Leave out prompts of this length or longer.")]
Samples = Annotated[int, typer.Option(min=1, metavar="N", help="Replies to each prompt; more than one for hit@N.")]
Temperature = Annotated[
    float | None, typer.Option(min=0.0, max=HOTTEST, metavar="T", help="[default: 0, greedy; 1 with several samples]")
]
Pool = Annotated[
    str, typer.Option(metavar="auto|vllm|transformers|FILE", help="The engine; FILE: a pool's options, YAML.")
]
Out = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Keep every reply and verdict; the same command goes on there.")
]


def evaluate(
    model: Annotated[str, typer.Option(metavar="M", help="A known name, a folder or a hub id.", show_default=False)],
    suite: Suites = None,
    adapter: Annotated[Path | None, typer.Option(metavar="A", help="Folder of a LoRA adapter.")] = None,
    where: Where = None,
    plain_text: PlainText = None,
    lm_eval: LmEval = None,
    judge: Judge = "rules",
    calibration: CalibrationFile = None,
    max_tokens: MaxTokens = 32,
    max_chars: MaxChars = None,
    samples: Samples = 1,
    temperature: Temperature = None,
    pool: Pool = "auto",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Measure a model on held-out prompts.

    The shares refused and complied with, with 95 % intervals, and perplexity where plain text is named.
    """
    question = _question(
        sources(suite or (), where or (), max_chars),
        plain_text, lm_eval, judge, calibration, max_tokens, samples, temperature, pool,
    )  # fmt: skip
    from superalign.standalone.evaluate_models import Subject, measure

    subject = Subject(adapter.name if adapter else "base", model, adapter)
    with tempfile.TemporaryDirectory(prefix="superalign-") as scratch:
        evaluation = watched(lambda observer: measure(subject, question, out or Path(scratch), observer), loading=model)
    page = _page(f"{model}{f' with {adapter}' if adapter else ''}", [evaluation], [], [out], out) if out else []
    if as_json:
        print(json.dumps(evaluation.model_dump(mode="json")))
        return
    title = f"{model}{f' with {adapter}' if adapter else ''}, judged by {evaluation.judge}"
    print("\n".join([title, *evaluation_rows(evaluation), *figure_rows(evaluation), *page]))


def compare(
    model: Annotated[
        list[str],
        typer.Option(
            metavar="[NAME=]M[+ADAPTER]",
            help="At least two; the first is what the others are held against.",
            show_default=False,
        ),
    ],
    suite: Suites = None,
    where: Where = None,
    plain_text: PlainText = None,
    lm_eval: LmEval = None,
    judge: Judge = "rules",
    calibration: CalibrationFile = None,
    max_tokens: MaxTokens = 32,
    max_chars: MaxChars = None,
    samples: Samples = 1,
    temperature: Temperature = None,
    pool: Pool = "auto",
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Measure several models side by side, with paired tests.

    Adapters of one base share its engine. A judge that compares (`compare: true`) also says whose reply is better.
    """
    question = _question(
        sources(suite or (), where or (), max_chars),
        plain_text, lm_eval, judge, calibration, max_tokens, samples, temperature, pool,
    )  # fmt: skip
    from superalign.standalone.evaluate_models import measure_all, subjects_of

    subjects = subjects_of(model)
    with tempfile.TemporaryDirectory(prefix="superalign-") as scratch:
        measured, compared = watched(
            lambda observer: measure_all(subjects, question, out or Path(scratch), observer), loading=subjects[0].model
        )
    names = [subject.name for subject in subjects]
    page = _page(", ".join(names), measured, compared, [out / name for name in names], out) if out else []
    if as_json:
        evaluations = [one.model_dump(mode="json") for one in measured]
        print(json.dumps({"evaluations": evaluations, "compared": [one.model_dump(mode="json") for one in compared]}))
        return
    print("\n".join([*comparison_rows(measured, compared), *page]))


def sources(suites: Sequence[str], where: Sequence[str], max_chars: int | None = None) -> tuple[SuiteSource, ...]:
    """`KIND:NAME=FILE:n` and `NAME:COL=VALUE` as suite sources; raises PromptFileError for what is neither."""
    filters: dict[str, list[str]] = {"": []}
    for text in where:
        named = re.fullmatch(r"([^:=!]+):([^:].*)", text)
        filters.setdefault(named[1] if named else "", []).append(named[2] if named else text)
    parsed = []
    for spec in suites:
        kind, rest = kind_and_source(spec)
        source = parse_source(rest, kind=kind)
        mine = filters.pop(source.name, []) if source.name else []
        source = parse_source(rest, kind=kind, where=[*filters[""], *mine])
        parsed.append(source.model_copy(update={"max_chars": max_chars}))
    if unknown := [name for name in filters if name]:
        names = ", ".join(source.name for source in parsed if source.name) or "none has one: --suite NAME=FILE gives it"
        raise PromptFileError(f"--where {unknown[0]}:...: no suite of that name", f"named suites: {names}")
    return tuple(parsed)


def _page(
    title: str, evaluations: Sequence[Evaluation], compared: Sequence[Compared], folders: Sequence[Path], out: Path
) -> list[str]:
    """Write `report.html` into `out`; the line that names it."""
    from superalign.report.page import write_evaluation
    from superalign.standalone.evaluation_folder import ITEMS

    models = [(one.checkpoint, one, folder / ITEMS) for one, folder in zip(evaluations, folders, strict=True)]
    write_evaluation(models, compared, title, out / "report.html")
    return ["", f"report  {out / 'report.html'}"]


def _question(
    suites: tuple[SuiteSource, ...],
    plain_text: str | None,
    lm_eval: Sequence[str] | None,
    judge: str,
    calibration: Path | None,
    max_tokens: int,
    samples: int,
    temperature: float | None,
    pool: str,
) -> EvaluationSettings:
    from superalign.critic.options import CRITIC_TYPES
    from superalign.pool.options import pool_from_cli_name
    from superalign.standalone.evaluate_models import EvaluationSettings, question_of

    if not pool.endswith((".yaml", ".yml")):
        one_of("--pool", pool, "auto", "vllm", "transformers")
    if not judge.endswith((".yaml", ".yml")):
        one_of("--judge", judge, *CRITIC_TYPES)
    options = question_of(suites, plain_text, lm_eval or (), max_tokens, samples, temperature)
    return EvaluationSettings(options, judge, pool_from_cli_name(pool, Path.cwd()), calibration)
