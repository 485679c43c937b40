"""Declares `superalign eval` and `superalign compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from superalign.cli.options import Json, one_of
from superalign.records.base import HOTTEST

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
    from superalign.cli.evaluate import Asked, evaluate

    asked = Asked(
        suite, where, plain_text, lm_eval, judge, calibration, max_tokens, max_chars, samples, temperature, _pool(pool)
    )
    evaluate(model, adapter, asked, out, as_json)


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
    """  # fmt: skip
    from superalign.cli.evaluate import Asked, compare

    asked = Asked(
        suite, where, plain_text, lm_eval, judge, calibration, max_tokens, max_chars, samples, temperature, _pool(pool)
    )
    compare(model, asked, out, as_json)


def _pool(name: str) -> str:
    return name if name.endswith((".yaml", ".yml")) else one_of("--pool", name, "auto", "vllm", "transformers")
