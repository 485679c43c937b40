"""The sections about the attack side: hazards and strategies by round, reach, the attacker's own training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from markupsafe import Markup

from superalign.analysis.attacks.records import AttackReport, Group
from superalign.records.evaluation import Interval
from superalign.report.heatmaps import grid
from superalign.report.html import Content, details, join, share, table, tag, with_limits
from superalign.report.page_data import Facts


def hazards(facts: Facts) -> Markup | None:
    """Hazard x round."""
    words = (
        "How many of the round's attacks made the model err, by the hazard that they are about: it complied where what "
        "is asked for (the goal) is harmful, refused where it is not, or broke a principle that is checked. Judged by "
        "the training critic; the darker, the worse. The small figure counts the attacks that were scored."
    )
    grids = [
        grid(_shares(facts, "harmful", lambda report: report.hazards), "harmful goals: erred, %"),
        grid(_shares(facts, "benign", lambda report: report.hazards), "harmless goals: erred, %"),
    ]
    shown = [grid for grid in grids if grid]
    return join([tag("p", words), tag("div", *shown, class_="pair")]) if shown else None


def strategies(facts: Facts) -> Markup | None:
    """Strategy x round, and how far the attacks reach."""
    more = "see attack.json of each round"
    grids = [
        grid(_shares(facts, "harmful", lambda report: report.strategies), "harmful goals: erred, %", more),
        grid(_shares(facts, "benign", lambda report: report.strategies), "harmless goals: erred, %", more),
    ]
    shown = [grid for grid in grids if grid]
    if not shown:
        return None
    words = (
        "A strategy is a way to dress up what is asked for; direct leaves it as it is. The most used ones are shown."
    )
    return join([tag("p", words), tag("div", *shown, class_="pair"), _reach(facts)])


def attacker(facts: Facts) -> Markup | None:
    """The decisions about the attacker's own adapter."""
    items = []
    for summary in facts.run.rounds:
        decision = summary.attacker
        if decision is not None:
            state, word = ("promoted", "promoted") if decision.promoted else ("refused", "not kept")
            badge = tag("span", word, class_=f"badge {state}")
            items.append(tag("li", tag("b", f"Round {summary.round} "), badge, tag("p", decision.reason)))
    return tag("ol", *items, class_="plain") if items else None


def _shares(
    facts: Facts, side: Literal["harmful", "benign"], groups: Callable[[AttackReport], Sequence[Group]]
) -> dict[str, dict[str, Interval]]:
    return {
        str(summary.round): {group.name: getattr(group, side) for group in groups(summary.attack)}
        for summary in facts.run.rounds
        if summary.attack is not None
    }


def _reach(facts: Facts) -> Markup | None:
    rows: list[list[Content]] = []
    for summary in facts.run.rounds:
        report = summary.attack
        if report is None or not report.queries:
            continue
        bleu, novelty = report.harmful.all.self_bleu, report.harmful.novelty
        rows.append([
            f"round {summary.round}",
            report.queries,
            with_limits(report.success),
            f"{share(report.archive.coverage)} of {report.archive.size}" if report.archive.size else "–",
            f"{report.archive.qd_score:.1f}" if report.archive.size else "–",
            "–" if report.harmful.distinct is None else report.harmful.distinct,
            "–" if bleu is None else f"{bleu:.2f}",
            "–" if novelty is None else f"{novelty:.2f}",
        ])  # fmt: skip
    if not rows:
        return None
    head = ("", "queries", "made it err", "cells covered", "QD score", "distinct successes", "self-BLEU", "novelty")
    words = (
        "Cells are hazard x style x number of turns, covered by a success; the QD score sums each cell's best attack. "
        "Distinct successes, Self-BLEU (1: all alike) and novelty (0: all seen before) are of attacks with harmful "
        "goals."
    )
    return join([table(head, rows, "reach of the attacks"), details("What these figures mean", tag("p", words))])
