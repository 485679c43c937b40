"""The sections about attacks: hazards and strategies by round, reach, kinds of failure, the attacker's own training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from markupsafe import Markup

from superalign.analysis.attacks.records import AttackReport, Group
from superalign.records.evaluation import Interval
from superalign.report.html import (
    Content,
    badge,
    details,
    hazard_name,
    heat_map,
    join,
    paragraph,
    share,
    side_by_side,
    table,
    tag,
    with_limits,
)
from superalign.report.page_data import Facts

MOST_KINDS = 8
"""Kinds of failure shown of a round, the largest ones."""


def hazards(facts: Facts) -> Markup | None:
    """Hazard x round."""
    return side_by_side("hazards", _heat_maps(facts, lambda report: report.hazards))


def strategies(facts: Facts) -> Markup | None:
    """Strategy x round, and how far the attacks reach."""
    maps = _heat_maps(facts, lambda report: report.strategies, "see attack.json of each round")
    return side_by_side("strategies", maps, _reach(facts))


def failures(facts: Facts) -> Markup | None:
    """Clusters of failed goals by round, the emergent ones with their examples."""
    parts: list[Content] = []
    for summary in facts.run.rounds:
        report = summary.failures
        if report is None or not report.failures:
            continue
        rows = [
            (
                cluster.id, "; ".join(example.goal for example in cluster.examples[:1]), cluster.goals,
                _did(cluster.intent), hazard_name(cluster.nearest or "–"),
                "–" if cluster.similarity is None else f"{cluster.similarity:.2f}",
            )
            for cluster in report.clusters[:MOST_KINDS]
        ]  # fmt: skip
        head = ("", "for example", "requests", "the model", "nearest hazard", "similarity")
        new = "" if report.limit is None else f", {len(report.emergent) or 'none'} of them new"
        title = f"round {summary.round}: {report.failures} failures in {len(report.clusters)} kinds{new}"
        most = f"the {len(rows)} largest kinds" if len(rows) < len(report.clusters) else "all kinds"
        parts.append(details(title, table(head, rows, most)) if rows else tag("p", title))
        for cluster in report.emergent:
            nearest = f"; the nearest hazard is {hazard_name(cluster.nearest)}" if cluster.nearest else ""
            words = f" {cluster.goals} requests that the model {_did(cluster.intent)}{nearest}. For example:"
            parts.append(tag("p", tag("b", cluster.id), " ", badge("no hazard covers it", "refused"), words))
            parts.append(tag("ul", *(tag("li", example.goal) for example in cluster.examples)))
        for cluster in report.own:
            words = f" {cluster.goals} requests that the model {_did(cluster.intent)}"
            parts.append(tag("p", tag("b", cluster.id), " ", badge(f"your hazard {cluster.nearest}", "open"), words))
    return join([paragraph("failures"), *parts]) if parts else None


def attacker(facts: Facts) -> Markup | None:
    """The decisions about the attacker's own adapter."""
    items = []
    for summary in facts.run.rounds:
        if (decision := summary.attacker) is not None:
            mark = badge("promoted", "promoted") if decision.promoted else badge("kept out", "refused")
            items.append(tag("li", tag("b", f"Round {summary.round} "), mark, tag("p", decision.reason)))
    return tag("ol", *items, class_="plain") if items else None


def _heat_maps(facts: Facts, groups: Callable[[AttackReport], Sequence[Group]], more: str = "") -> list[Markup | None]:
    """Shares of attacks that made the model err by group, for harmful goals and for harmless ones."""

    def shares(side: Literal["harmful", "benign"]) -> dict[str, dict[str, Interval]]:
        return {
            str(summary.round): {group.name: getattr(group, side) for group in groups(summary.attack)}
            for summary in facts.run.rounds
            if summary.attack is not None
        }

    return [
        heat_map(shares("harmful"), "harmful goals: erred, %", more),
        heat_map(shares("benign"), "harmless goals: erred, %", more),
    ]


def _reach(facts: Facts) -> Markup | None:
    rows: list[list[Content]] = []
    for summary in facts.run.rounds:
        report = summary.attack
        if report is None or not report.queries:
            continue
        harmful, archive = report.harmful, report.archive
        rows.append([
            f"round {summary.round}",
            report.queries,
            with_limits(harmful.success),
            with_limits(report.benign.success),
            f"{share(archive.coverage)} of {archive.size}" if archive.size else "–",
            f"{archive.qd_score:.1f}" if archive.size else "–",
            "–" if harmful.distinct is None else harmful.distinct,
            "–" if harmful.all.self_bleu is None else f"{harmful.all.self_bleu:.2f}",
            "–" if harmful.novelty is None else f"{harmful.novelty:.2f}",
        ])  # fmt: skip
    head = (
        "", "queries", "harmful goals: complied", "harmless goals: refused", "cells covered", "QD score",
        "distinct successes", "self-BLEU", "novelty",
    )  # fmt: skip
    shown = [table(head, rows, "reach of the attacks"), details("What these figures mean", paragraph("reach"))]
    return join(shown) if rows else None


def _did(intent: str) -> str:
    return "complied with" if intent == "harmful" else "needlessly refused"
