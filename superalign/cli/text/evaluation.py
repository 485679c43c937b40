"""Shares and figures of replies, and several models side by side, as a person reads them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from superalign.cli.format import MARGIN, REASON, clean, interval, percent
from superalign.evaluation.paired_comparison import Compared, Contrast
from superalign.records.evaluation import Evaluation, Interval, Mean, SuiteResult, TaskFigure

NAME = 18
"""Columns for the name of a suite or a model."""


def evaluation_rows(evaluation: Evaluation) -> list[str]:
    """A line a suite: share refused and complied with the 95 % interval."""
    wide, rows = max(MARGIN, *(len(suite.suite) + 2 for suite in evaluation.suites), 0), []
    if evaluation.suites:
        rows.append(f"{'held out':<{wide}}{'refused, 95 %':<24}{'complied, 95 %':<24}{'scored':>6}")
    for suite in evaluation.suites:
        share, cells = suite.refused, f"{interval(suite.refused):<24}{interval(suite.complied):<24}"
        if suite.matched is not None:
            share, outcome = suite.matched, "right" if suite.kind == "capability" else "injected with success"
            cells = f"{interval(share) + ' ' + outcome:<48}"
        unscored = f"  {share.unscored} unscored" if share.unscored else ""
        rows.append(f"{suite.suite:<{wide}}{cells}{share.n:>6}{unscored}")
        if suite.why_unscored:
            reason = f"no verdict, on the first: {clean(suite.why_unscored, REASON)}"
            rows += textwrap.wrap(reason, 110, initial_indent=" " * wide, subsequent_indent=" " * wide)
    if evaluation.perplexity is not None:
        figure = f"{evaluation.perplexity:.4g} on {evaluation.perplexity_tokens} tokens of plain text"
        rows.append(f"{'perplexity':<{wide}}{figure}")
    return rows


def figure_rows(evaluation: Evaluation) -> list[str]:
    """What the table of shares has no column for: a line a suite."""
    rows = []
    if evaluation.temperature:
        rows.append(f"{evaluation.samples} replies each, sampled at temperature {evaluation.temperature:g}")
    for task in evaluation.tasks:
        error = f" (standard error {task.stderr:.4f})" if task.stderr is not None else ""
        rows.append(f"{clean(task.task, NAME):<{NAME + 2}}{task.metric} {task.value:.4f}{error}, {task.n} documents")
    for suite in evaluation.suites:
        if parts := list(_figures(suite, evaluation.samples)):
            names = [clean(suite.suite, NAME), *[""] * len(parts)]
            rows += [f"{name:<{NAME + 2}}{part}" for name, part in zip(names, parts, strict=False)]
    return rows


def comparison_rows(measured: Sequence[Evaluation], compared: Sequence[Compared]) -> list[str]:
    """Every model's share of each suite, then each model against the first."""
    names = [clean(one.checkpoint, NAME) for one in measured]
    head = " " * (NAME + 10) + "".join(f"{name:<24}" for name in names)
    rows = [f"judged by {measured[0].judge}; share of replies, 95 %", head.rstrip()]
    for parts in zip(*(one.suites for one in measured), strict=True):
        label, cells = _share(parts[0])[0], "".join(f"{interval(_share(part)[1]):<24}" for part in parts)
        rows.append(f"{clean(parts[0].suite, NAME):<{NAME}} {label:<9}{cells}".rstrip())
    if measured[0].perplexity is not None:
        rows.append(f"{'perplexity':<{NAME + 10}}" + "".join(f"{one.perplexity:<24.4g}" for one in measured).rstrip())
    for tasks in zip(*(one.tasks for one in measured), strict=True):
        label = f"{clean(tasks[0].task, NAME):<{NAME}} {clean(tasks[0].metric, 9):<9}"
        rows.append(label + "".join(f"{_task(task):<24}" for task in tasks).rstrip())
    for one in compared:
        rows += ["", f"{clean(one.model, NAME)} minus {clean(one.reference, NAME)}, on the same items"]
        rows += [f"{clean(c.suite, NAME):<{NAME}} {c.share:<9}{_contrast(c)}" for c in one.contrasts]
        for c in one.contrasts:
            rows += [f"{clean(c.suite, NAME):<{NAME}} {text}" for text in _more(c, measured[0].temperature)]
        if one.perplexity_ratio is not None:
            rows.append(f"{'perplexity':<{NAME}} {_mean(one.perplexity_ratio, 3)} times the reference's")
    return rows


def _figures(suite: SuiteResult, samples: int) -> Iterator[str]:
    if suite.harmed is not None:
        yield f"harmful replies {interval(suite.harmed)}"
    if suite.corrected is not None:
        yield f"allowing for the judge's known errors {interval(suite.corrected)}"
    if suite.hit is not None:
        yield f"hit@{samples} {interval(suite.hit)} of {suite.hit.n} items"
    if (texts := suite.texts) is not None and texts.length is not None:
        shown = [f"{_mean(texts.length, 1)} tokens a reply", f"{percent(texts.cut.rate)} cut"]
        kinds = {"distinct-1": texts.distinct_1, "distinct-2": texts.distinct_2, "self-BLEU": texts.self_bleu}
        yield ", ".join([*shown, *(f"{name} {value:.2f}" for name, value in kinds.items() if value is not None)])


def _task(task: TaskFigure) -> str:
    return f"{task.value:.4f}" + (f" (s.e. {task.stderr:.4f})" if task.stderr is not None else "")


def _share(suite: SuiteResult) -> tuple[str, Interval]:
    if suite.matched is not None:
        return ("right" if suite.kind == "capability" else "steered"), suite.matched
    return ("complied", suite.complied) if suite.kind == "harmful" else ("refused", suite.refused)


def _contrast(c: Contrast) -> str:
    points = f"{100 * c.difference:+.1f} points ({100 * c.low:+.1f} to {100 * c.high:+.1f})"
    rest = f"; {c.unpaired} without a pair" if c.unpaired else ""
    return f"{points}, {c.gained} up {c.lost} down of {c.n}, p {c.p:.2g}, Holm {c.p_holm:.2g}{rest}"


def _more(contrast: Contrast, temperature: float) -> Iterator[str]:
    if contrast.win is not None:
        share = f"{100 * contrast.win.value:.1f} % ({100 * contrast.win.low:.1f} - {100 * contrast.win.high:.1f})"
        yield f"better reply in {share} of {contrast.win.n} items that the judge could compare"
    if contrast.why_uncompared:
        yield f"{contrast.uncompared} not compared, the first: {clean(contrast.why_uncompared, REASON)}"
    if contrast.kl is not None:
        name = "KL divergence" if temperature == 1 else "log-ratio of its replies"
        yield f"{name} {_mean(contrast.kl, 3)} nats a token"


def _mean(value: Mean, digits: int) -> str:
    return f"{value.value:.{digits}f} ({value.low:.{digits}f} - {value.high:.{digits}f})"
