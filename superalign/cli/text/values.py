"""What a person reads of values that change, and of how effort was shared: labelled lines of a round's block."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.analysis.summary import RoundSummary
from superalign.cli.format import interval, percent


def value_facts(summary: RoundSummary) -> Iterator[tuple[str, str]]:
    """(label, text); nothing where the recipe says nothing of either."""
    if summary.effort is not None:
        effort = summary.effort
        gaps = f"gaps {percent(effort.conformity_gap)} and {percent(effort.competence_gap)}"
        share = "as they came" if effort.conformity is None else f"{percent(effort.conformity)} wanted"
        kept = f"{effort.kept['conformity']} of {sum(effort.kept.values())} examples"
        rest = f"{sum(effort.left_out.values())} left out"
        yield "conformity", f"{kept}, {rest}; {share}; {gaps} (harmful complied, benign refused)"
    if summary.replay is not None:
        replay = summary.replay
        yield "replay", f"{replay.held} past examples hold, {replay.flipped} turned round, {replay.dropped} dropped"
    if summary.values is None:
        return
    values = summary.values
    before = f" after {values.before}" if values.before else ""
    yield "values", f"version {values.version}{before}: {interval(values.kept)} of {values.kept.n} replies keep theirs"
    for label, found in (("adopted", values.adoption), ("retained", values.retention), ("stale", values.stale)):
        if found is not None:
            yield label, interval(found)
    rates = (f"{p.principle}{' (new)' if p.moved else ''} {percent(p.kept.rate)}" for p in values.principles)
    yield "principles", ", ".join(rates)
