"""`eval` and `compare`: any model, or base and adapter, on held-out prompts, outside of a run."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from superalign.cli.options import one_of
from superalign.cli.progress import watched
from superalign.cli.text.evaluation import comparison_rows, evaluation_rows, figure_rows
from superalign.errors import PromptFileError
from superalign.evaluation.load_suites import kind_and_source, parse_source
from superalign.evaluation.options import SuiteSource

if TYPE_CHECKING:
    from superalign.standalone.evaluate_models import Question


@dataclass(frozen=True)
class Asked:
    """The command line, as it was given."""

    suites: Sequence[str] | None
    where: Sequence[str] | None
    plain_text: str | None
    lm_eval: Sequence[str] | None
    judge: str
    calibration: Path | None
    max_tokens: int
    max_chars: int | None
    samples: int
    temperature: float | None
    pool: str


def sources(asked: Asked) -> tuple[SuiteSource, ...]:
    """`KIND:NAME=FILE:n` and `NAME:COL=VALUE` as suite sources; raises PromptFileError for what is neither."""
    filters: dict[str, list[str]] = {"": []}
    for text in asked.where or ():
        named = re.fullmatch(r"([^:=!]+):([^:].*)", text)
        filters.setdefault(named[1] if named else "", []).append(named[2] if named else text)
    found = []
    for spec in asked.suites or ():
        own, rest = kind_and_source(spec)
        source = parse_source(rest, kind=own)
        mine = filters.pop(source.name, []) if source.name else []
        source = parse_source(rest, kind=own, where=[*filters[""], *mine])
        found.append(source.model_copy(update={"max_chars": asked.max_chars}))
    if unknown := [name for name in filters if name]:
        names = ", ".join(source.name for source in found if source.name) or "none has one: --suite NAME=FILE gives it"
        raise PromptFileError(f"--where {unknown[0]}:...: no suite of that name", f"named suites: {names}")
    return tuple(found)


def evaluate(model: str, adapter: Path | None, asked: Asked, out: Path | None, as_json: bool) -> None:
    """Measure and print; `out` keeps every reply with its verdict."""
    question = _question(asked)
    from superalign.standalone.evaluate_models import Subject, measure

    subject = Subject(adapter.name if adapter else "base", model, adapter)
    with tempfile.TemporaryDirectory(prefix="superalign-") as scratch:
        found = watched(lambda observer: measure(subject, question, out or Path(scratch), observer))
    if as_json:
        print(json.dumps(found.model_dump(mode="json")))
        return
    what = model + (f" with {adapter}" if adapter else "")
    print("\n".join([f"{what}, judged by {found.judge}", *evaluation_rows(found), *figure_rows(found)]))


def compare(models: Sequence[str], asked: Asked, out: Path | None, as_json: bool) -> None:
    """Measure all, hold them against the first, and print."""
    question = _question(asked)
    from superalign.standalone.evaluate_models import measure_all, subjects_of

    subjects = subjects_of(models)

    with tempfile.TemporaryDirectory(prefix="superalign-") as scratch:
        found, compared = watched(lambda observer: measure_all(subjects, question, out or Path(scratch), observer))
    if as_json:
        evaluations = [one.model_dump(mode="json") for one in found]
        print(json.dumps({"evaluations": evaluations, "compared": [one.model_dump(mode="json") for one in compared]}))
        return
    print("\n".join(comparison_rows(found, compared)))


def _question(asked: Asked) -> Question:
    from superalign.critic.from_cli_name import KINDS
    from superalign.pool.options import pool_from_cli_name
    from superalign.standalone.evaluate_models import Question, question_of

    if not asked.judge.endswith((".yaml", ".yml")):
        one_of("--judge", asked.judge, *KINDS)
    options = question_of(
        sources(asked), asked.plain_text, asked.lm_eval or (), asked.max_tokens, asked.samples, asked.temperature
    )
    return Question(options, asked.judge, pool_from_cli_name(asked.pool, Path.cwd()), asked.calibration)
