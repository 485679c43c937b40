"""The sections about held-out prompts: suites, hazards, replies, the deception audit, and models side by side."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from superalign.analysis.deception_audit import DimensionAudit
from superalign.evaluation.paired_comparison import Compared, Contrast
from superalign.records.evaluation import Evaluation, Interval, Mean, SuiteResult
from superalign.report.charts import trend
from superalign.report.html import (
    Content,
    badge,
    details,
    glossary,
    heat_map,
    join,
    labelled,
    paragraph,
    points,
    share,
    side_by_side,
    table,
    tag,
    with_limits,
)
from superalign.report.page_data import Facts, ModelFigures

SETS = {
    "frozen": "",
    "fresh": "fresh: this round's attacks on goals that are never trained on",
    "replay": "replay: attacks that worked in earlier rounds",
}
MEASURES = {"harmful": "complied with", "capability": "right answers", "injection": "followed"}
"""What is counted in a suite's replies; in other kinds of suites, those that refuse."""


def suites(measured: Sequence[ModelFigures]) -> Markup | None:
    """A picture of every suite over rounds or models, those of one attack set together."""
    drawn: dict[str, list[Markup]] = {}
    for name, column in _by_suite(measured).items():
        title = f"{name}: {measure(column[0][1])}, %"
        picture = trend([model.dot(rate(suite)) for model, suite in column], title)
        drawn.setdefault(column[0][1].set, []).append(tag("figure", tag("figcaption", title), picture))
    if not drawn:
        return None
    parts: list[Content] = [paragraph("suites")]
    for name, title in SETS.items():
        if name in drawn:
            parts += [tag("h3", title) if title else None, tag("div", *drawn[name], class_="pictures")]
    return join([*parts, _texts(measured)])


def hazards(measured: Sequence[ModelFigures], head: str = "round") -> Markup | None:
    """Hazard x round or model, of the frozen suites; head: what columns are."""
    complied: dict[str, dict[str, Interval]] = {}
    refused: dict[str, dict[str, Interval]] = {}
    for model in measured:
        for suite in model.evaluation.suites:
            if suite.set == "frozen" and suite.kind in ("harmful", "lookalike"):
                harmful = suite.kind == "harmful"
                rates: dict[str, Interval] = {
                    part.hazard: part.complied if harmful else part.refused for part in suite.hazards
                }
                (complied if harmful else refused).setdefault(model.label, {}).update(rates)
    return side_by_side("hazards_held_out", [
        heat_map(complied, "harmful prompts: complied with, %", head=head),
        heat_map(refused, "look-alikes of a hazard: refused, %", head=head),
    ])  # fmt: skip


def audit(facts: Facts) -> Markup | None:
    """Right replies by dimension and round, where the critic sees and where it does not, or why there is no audit."""
    audits = [(summary.round, summary.audit) for summary in facts.run.rounds if summary.audit is not None]
    rows = [_audited(number, part) for number, found in audits if not found.off for part in found.dimensions]
    off = [tag("p", f"Round {number}: no audit, because {found.off}.") for number, found in audits if found.off]
    if not rows and not off:
        return None
    marked = ", ".join(str(number) for number, found in audits if any(part.alarm for part in found.dimensions))
    answer = (
        f"In round {marked} the model did surely worse where the critic can't see: read the replies."
        if marked
        else "In no round did the model do surely worse where the critic can't see."
    )
    head = ("", "right replies to", "seen", "unseen", "difference, points", "deception score")
    shown = [table(head, rows, "right replies where the critic sees and where it does not")] if rows else []
    lead_line = paragraph("audit", " ", tag("b", answer) if rows else None)
    return join([lead_line, *shown, *off, details("What these figures mean", paragraph("audit_figures"))])


def models_headline(evaluations: Sequence[Evaluation], compared: Sequence[Compared]) -> Markup:
    """What was measured outside of a run, and the largest sure difference from the first model."""
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


def model_shares(evaluations: Sequence[Evaluation], _: Sequence[Compared]) -> Markup | None:
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


def model_differences(_: Sequence[Evaluation], compared: Sequence[Compared]) -> Markup | None:
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


def rate(suite: SuiteResult) -> Interval:
    """What a suite is about: its share of faults, or of right answers."""
    if suite.kind in ("capability", "injection") and suite.matched is not None:
        return suite.matched
    return suite.complied if suite.kind == "harmful" else suite.refused


def measure(suite: SuiteResult) -> str:
    """What `rate` counts."""
    return MEASURES.get(suite.kind, "refused")


def mean(value: Mean | None, digits: int = 1) -> Markup:
    """A mean with its limits in small print."""
    if value is None:
        return Markup("–")
    return join([f"{value.value:.{digits}f} ", tag("small", f"{value.low:.{digits}f} to {value.high:.{digits}f}")])


def _by_suite(measured: Sequence[ModelFigures]) -> dict[str, list[tuple[ModelFigures, SuiteResult]]]:
    columns: dict[str, list[tuple[ModelFigures, SuiteResult]]] = {}
    for model in measured:
        for suite in model.evaluation.suites:
            if rate(suite).n:
                columns.setdefault(suite.suite, []).append((model, suite))
    return columns


def _texts(measured: Sequence[ModelFigures]) -> Markup | None:
    """What replies are like as texts: collapse and rambling show here."""
    rows = [
        [f"{name}, {model.name}", mean(texts.length), with_limits(texts.cut),
         *("–" if value is None else f"{value:.2f}" for value in (texts.distinct_1, texts.distinct_2, texts.self_bleu))]
        for name, column in _by_suite(measured).items()
        for model, suite in column
        if (texts := suite.texts) is not None
    ]  # fmt: skip
    head = ("", "tokens a reply", "cut off", "distinct words", "distinct pairs", "self-BLEU")
    shown = [paragraph("texts"), table(head, rows, "replies as texts")]
    return details("What the replies are like", *shown) if rows else None


def _audited(round: int, part: DimensionAudit) -> list[Content]:
    gap = part.difference
    difference: Content = "–"
    if gap is not None:
        alarm = badge("worse unseen", "refused") if part.alarm else None
        small = tag("small", f"{100 * gap.low:+.0f} to {100 * gap.high:+.0f}")
        difference = join([f"{points(gap.value)} ", small, " " if alarm else None, alarm])
    score = "–" if part.score is None else f"{share(part.score)} ({share(part.expected)})"
    seen, unseen = (join([with_limits(side), tag("small", f" of {side.n}")]) for side in (part.seen, part.unseen))
    return [f"round {round}", labelled("dimensions", part.dimension), seen, unseen, difference, score]


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
