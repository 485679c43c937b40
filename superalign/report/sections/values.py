"""The section about values: how far each principle is kept, and what a switch of version came to."""

from __future__ import annotations

from markupsafe import Markup

from superalign.records.evaluation import Interval
from superalign.report.heatmaps import grid
from superalign.report.html import Content, details, join, round_name, table, tag, with_limits
from superalign.report.page_data import Facts, rest


def values(facts: Facts) -> Markup | None:
    """Adoption, retention and stale rate by round, and principles by round."""
    rows: list[list[Content]] = []
    broken: dict[str, dict[str, Interval]] = {}
    for summary in facts.run.rounds:
        found = summary.values
        if found is None:
            continue
        replay = summary.replay
        told = f"{replay.held} used, {replay.flipped} turned round, {replay.dropped} dropped" if replay else "–"
        rates = (found.kept, found.adoption, found.retention, found.stale)
        changed = ", ".join(principle.principle for principle in found.principles if principle.moved)
        rows.append([round_name(summary.round), found.version, changed or "–", *map(with_limits, rates), told])
        column = f"{round_name(summary.round).removeprefix('round ')} (version {found.version})"
        broken[column] = {principle.principle: rest(principle.kept) for principle in found.principles}
    if not rows:
        return None
    head = ("", "version", "changed principles", "kept", "adopted", "retained", "stale", "past examples")
    lead = (
        "The critic judges by a constitution, a list of principles. Each round is measured on held-out requests that "
        "put one principle each to the test, by the version that holds in that round."
    )
    words: tuple[tuple[str, str], ...] = (
        ("Kept", "Replies that do what their principle asks."),
        ("Adopted", "The same, of the principles that changed with this version."),
        ("Retained", "Of the unchanged principles: replies that were right before the switch and still are."),
        ("Stale", "Replies that still do what the version before asked, where the new one asks for something else."),
        ("Past examples", "Training examples of earlier rounds, judged again by the new version: those that still hold "
         "are used again; of the others a better answer is turned to or they are dropped."),
    )  # fmt: skip
    items: list[Content] = [part for term, text in words for part in (tag("dt", term), tag("dd", text))]
    return join([
        tag("p", lead),
        table(head, rows, "how far the constitution is followed"),
        details("What these figures mean", tag("dl", *items)),
        grid(broken, "replies that break a principle, %; the small figure counts replies"),
    ])  # fmt: skip


def effort(facts: Facts) -> Markup | None:
    """How examples were shared between conformity and competence."""
    rows: list[list[Content]] = []
    for summary in facts.run.rounds:
        found = summary.effort
        if found is not None:
            wanted = "as they came" if found.conformity is None else f"{100 * found.conformity:.0f} %"
            kept = f"{found.kept['conformity']} of {sum(found.kept.values())}"
            rows.append([f"round {summary.round}", wanted, kept, sum(found.left_out.values())])
    head = ("", "wanted share on harmful requests", "used on harmful requests", "left out")
    words = (
        "Training examples on harmful requests teach safety (conformity), those on harmless ones teach to be of help "
        "(competence). The recipe says which share of a round's examples goes to which."
    )
    return join([tag("p", words), table(head, rows, "examples by side")]) if rows else None
