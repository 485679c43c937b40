"""The failures of a round in words."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.analysis.failure_clusters import FailureCluster, FailureReport
from superalign.cli.format import clean

_EXAMPLE_CHARS = 70


def failure_facts(report: FailureReport | None) -> Iterator[tuple[str, str]]:
    """(label, text): how many kinds there are, and a line for each that no hazard covers."""
    if report is None or not report.failures:
        return
    covered = f"{len(report.emergent) or 'none'} of them unlike every known hazard"
    if report.limit is None:
        covered = "too few texts of hazards to say what they cover"
    yield "failures", f"{report.failures} in {len(report.clusters)} kinds, {covered}; {report.scattered} goals alone"
    for cluster in report.own:
        yield "own hazard", f"{cluster.nearest}: {cluster.goals} goals {_did(cluster)} ({cluster.id})"
    for cluster in report.emergent:
        examples = "; ".join(clean(example.goal, _EXAMPLE_CHARS) for example in cluster.examples)
        yield "emergent", f"{cluster.id}: {cluster.goals} goals {_did(cluster)}, nearest {cluster.nearest}: {examples}"


def _did(cluster: FailureCluster) -> str:
    return "complied with" if cluster.intent == "harmful" else "needlessly refused"
