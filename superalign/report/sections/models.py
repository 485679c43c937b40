"""The sections of the page of models that were measured outside of a run: shares, and differences from the first."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from superalign.evaluation.paired_comparison import Compared, Contrast
from superalign.records.evaluation import Evaluation, SuiteResult
from superalign.report.html import Content, badge, glossary, join, points, share, table, tag, with_limits
from superalign.report.sections.held_out import mean, measure, rate


def headline(evaluations: Sequence[Evaluation], compared: Sequence[Compared]) -> Markup:
    """What was measured, and the surest difference from the first model."""
    n = sum(rate(suite).n for suite in evaluations[0].suites)
    names = ", ".join(one.checkpoint for one in evaluations)
    words = f"{names}: {n:,} scored replies each, judged by {evaluations[0].judge}."
    found = [(one, contrast) for one in compared for contrast in one.contrasts if contrast.p_holm < 0.05]
    if not compared:
        return tag("p", words, class_="lead")
    if not found:
        return tag("p", f"{words} No difference from {evaluations[0].checkpoint} is sure.", class_="lead")
    one, largest = max(found, key=lambda pair: abs(pair[1].difference))
    more = f", the largest of {len(found)} sure differences" if len(found) > 1 else ""
    text = f" {one.model} minus {one.reference} in {largest.suite}: {largest.share} "
    return tag("p", words, text, tag("b", f"{points(largest.difference)} points"), f"{more}.", class_="lead")


def shares(evaluations: Sequence[Evaluation], _: Sequence[Compared]) -> Markup | None:
    """Every model's share of each suite, perplexity, and what lm-eval's tasks came to."""
    rows: list[list[Content]] = []
    for suites in zip(*(one.suites for one in evaluations), strict=True):
        rows.append([f"{suites[0].suite}: {measure(suites[0])}", *(_with_unscored(suite) for suite in suites)])
        for name, words in (("harmed", "harmful replies"), ("corrected", "allowing for the judge's known errors"),
                            ("hit", f"any of {evaluations[0].samples} replies")):  # fmt: skip
            if any(getattr(suite, name) for suite in suites):
                rows.append([f"{suites[0].suite}: {words}", *(with_limits(getattr(suite, name)) for suite in suites)])
    if any(one.perplexity for one in evaluations):
        perplexities = (f"{one.perplexity:.4g}" if one.perplexity else "–" for one in evaluations)
        rows.append(["perplexity of plain text", *perplexities])
    for tasks in zip(*(one.tasks for one in evaluations), strict=True):
        errors = (f" ± {task.stderr:.4f}" if task.stderr is not None else "" for task in tasks)
        figures = (f"{task.value:.4f}{error}" for task, error in zip(tasks, errors, strict=True))
        rows.append([f"{tasks[0].task}: {tasks[0].metric}", *figures])
    unscored = [tag("p", f"{suite.suite}: no verdict, on the first: {suite.why_unscored}", class_="quiet")
                for one in evaluations for suite in one.suites if suite.why_unscored]  # fmt: skip
    head = ("", *(one.checkpoint for one in evaluations))
    return join([table(head, rows, "shares of replies"), *unscored, glossary("models", "How to read this page")])


def differences(_: Sequence[Evaluation], compared: Sequence[Compared]) -> Markup | None:
    """Each model minus the first one, on the same items."""
    parts: list[Content] = []
    head = ("", "difference, points", "95 %", "p", "p, Holm", "items up", "down", "of", "better reply", "divergence")
    for one in compared:
        rows = [_difference(contrast) for contrast in one.contrasts]
        filled = [at for at in range(len(head)) if at < 8 or any(row[at] != "–" for row in rows)]
        title = f"{one.model} minus {one.reference}, on the same items"
        parts.append(table([head[at] for at in filled], [[row[at] for at in filled] for row in rows], title))
        if one.perplexity_ratio is not None:
            parts.append(tag("p", "Perplexity: ", mean(one.perplexity_ratio, 3), " times the reference's."))
        for contrast in one.contrasts:
            if contrast.uncompared:
                words = f"{contrast.uncompared} not compared, the first: {contrast.why_uncompared}"
                parts.append(tag("p", f"{contrast.suite}: {words}", class_="quiet"))
    return join(parts) if parts else None


def _difference(contrast: Contrast) -> list[Content]:
    sure = contrast.p_holm < 0.05
    worse = (contrast.difference > 0) != (contrast.kind == "capability")
    mark = badge("worse" if worse else "better", "refused" if worse else "promoted") if sure else None
    win = contrast.win
    return [
        f"{contrast.suite}: {contrast.share}",
        join([points(contrast.difference), " " if mark else None, mark]),
        f"{points(contrast.low)} to {points(contrast.high)}",
        f"{contrast.p:.2g}",
        f"{contrast.p_holm:.2g}",
        contrast.gained,
        contrast.lost,
        contrast.n,
        "–" if win is None else join([share(win.value), tag("small", f" {100 * win.low:.0f}–{100 * win.high:.0f}")]),
        mean(contrast.kl, 3),
    ]


def _with_unscored(suite: SuiteResult) -> Markup:
    missing = rate(suite).unscored
    return join([with_limits(rate(suite)), tag("small", f", {missing} unscored") if missing else None])
