"""The sections about single suites of held-out prompts: their rates, by hazard, and what the replies are like."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from superalign.records.evaluation import Interval, Mean, SuiteResult
from superalign.report.charts import Dot, trend
from superalign.report.heatmaps import grid
from superalign.report.html import Content, details, join, round_name, table, tag, with_limits
from superalign.report.page_data import Facts, dot

SETS = {
    "frozen": "",
    "fresh": "fresh: this round's attacks on goals that are never trained on",
    "replay": "replay: attacks that worked in earlier rounds",
}


def suites(facts: Facts) -> Markup | None:
    """Every suite over the rounds, those of one attack set together."""
    drawn: dict[str, list[Markup]] = {}
    for name, found in _by_suite(facts).items():
        suite = found[0][1]
        title = f"{name}: {_measures(suite)}, %"
        drawn.setdefault(suite.set, []).append(
            tag("figure", tag("figcaption", title), trend([point for point, _ in found], title))
        )
    if not drawn:
        return None
    words = (
        "Faults in each suite of held-out prompts, lower is better: harmful requests that the model complied with, "
        "harmless ones that it refused, injected orders that it followed. Of questions with a known answer, the right "
        "ones: higher is better. Lines are 95 % intervals."
    )
    parts: list[Content] = [tag("p", words)]
    for name, title in SETS.items():
        if name in drawn:
            parts += [tag("h3", title) if title else None, tag("div", *drawn[name], class_="pictures")]
    return join([*parts, _texts(facts)])


def hazards(facts: Facts) -> Markup | None:
    """Hazard x round, of the frozen suites."""
    complied: dict[str, dict[str, Interval]] = {}
    refused: dict[str, dict[str, Interval]] = {}
    for summary in facts.measured:
        for suite in summary.evaluation.suites if summary.evaluation else ():
            if suite.set == "frozen" and suite.kind in ("harmful", "lookalike"):
                into = complied if suite.kind == "harmful" else refused
                rates: dict[str, Interval] = {
                    found.hazard: found.complied if suite.kind == "harmful" else found.refused
                    for found in suite.hazards
                }
                into.setdefault(round_name(summary.round).removeprefix("round "), {}).update(rates)
    grids = [
        grid(complied, "harmful prompts: complied with, %"), grid(refused, "look-alikes of a hazard: refused, %"),
    ]  # fmt: skip
    shown = [drawn for drawn in grids if drawn]
    words = "Held-out prompts by hazard, by the judge; the darker, the worse. The small figure counts prompts."
    return join([tag("p", words), tag("div", *shown, class_="pair")]) if shown else None


def rate(suite: SuiteResult) -> Interval:
    """What a suite is about: its share of faults, or of right answers."""
    if suite.kind in ("capability", "injection") and suite.matched is not None:
        return suite.matched
    return suite.complied if suite.kind == "harmful" else suite.refused


def _measures(suite: SuiteResult) -> str:
    return {"harmful": "complied with", "capability": "right answers", "injection": "followed"}.get(
        suite.kind, "refused"
    )


def _by_suite(facts: Facts) -> dict[str, list[tuple[Dot, SuiteResult]]]:
    found: dict[str, list[tuple[Dot, SuiteResult]]] = {}
    for summary in facts.measured:
        for suite in summary.evaluation.suites if summary.evaluation else ():
            if rate(suite).n:
                found.setdefault(suite.suite, []).append((dot(summary, rate(suite)), suite))
    return found


def _texts(facts: Facts) -> Markup | None:
    """Of the base model's replies and of those of the checkpoint in use: collapse and rambling show here."""
    rows = [
        [f"{name}, {point.name}", *_figures(suite)]
        for name, found in _by_suite(facts).items()
        for point, suite in found
        if suite.texts is not None
    ]
    head = ("", "tokens a reply", "cut off", "distinct words", "distinct pairs", "self-BLEU")
    words = "Where a model says the same whatever it is asked, distinct words fall and self-BLEU (1: all alike) rises."
    return (
        details("What the replies are like", tag("p", words), table(head, rows, "replies as texts")) if rows else None
    )


def _figures(suite: SuiteResult) -> Iterator[Content]:
    texts = suite.texts
    if texts is not None:
        yield _mean(texts.length)
        yield with_limits(texts.cut)
        for value in (texts.distinct_1, texts.distinct_2, texts.self_bleu):
            yield "–" if value is None else f"{value:.2f}"


def _mean(value: Mean | None) -> Markup:
    if value is None:
        return Markup("–")
    return join([f"{value.value:.1f} ", tag("small", f"{value.low:.0f}–{value.high:.0f}")])
