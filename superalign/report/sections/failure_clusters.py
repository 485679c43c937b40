"""The section about kinds of failure, and which of them no hazard covers."""

from __future__ import annotations

from markupsafe import Markup

from superalign.report.html import Content, details, hazard_name, join, table, tag
from superalign.report.page_data import Facts

MOST = 8
"""Kinds of a round; the largest."""


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
            for cluster in report.clusters[:MOST]
        ]  # fmt: skip
        head = ("", "for example", "requests", "the model", "nearest hazard", "similarity")
        new = "" if report.limit is None else f", {len(report.emergent) or 'none'} of them new"
        title = f"round {summary.round}: {report.failures} failures in {len(report.clusters)} kinds{new}"
        most = f"the {len(rows)} largest kinds" if len(rows) < len(report.clusters) else "all kinds"
        parts.append(details(title, table(head, rows, most)) if rows else tag("p", title))
        for cluster in report.emergent:
            shown = [tag("li", example.goal) for example in cluster.examples]
            badge = tag("span", "no hazard covers it", class_="badge refused")
            nearest = f"; the nearest hazard is {hazard_name(cluster.nearest)}" if cluster.nearest else ""
            words = f" {cluster.goals} requests that the model {_did(cluster.intent)}{nearest}. For example:"
            parts += [tag("p", tag("b", cluster.id), " ", badge, words), tag("ul", *shown)]
        for cluster in report.own:
            badge = tag("span", f"your hazard {cluster.nearest}", class_="badge")
            words = f" {cluster.goals} requests that the model {_did(cluster.intent)}"
            parts.append(tag("p", tag("b", cluster.id), " ", badge, words))
    if not parts:
        return None
    words = (
        "The requests of a round's attacks that made the model err, grouped by what they mean. A group that is unlike "
        "every known text of every hazard is new: it may be a hazard of its own, and "
    )
    command = tag("code", "superalign hazards add")
    return join([tag("p", words, command, " makes it one. Similarity to a hazard is 1 for the same text."), *parts])


def _did(intent: str) -> str:
    return "complied with" if intent == "harmful" else "needlessly refused"
