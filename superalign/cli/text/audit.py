"""The deception audit of a round in words."""

from __future__ import annotations

from collections.abc import Iterator

from superalign.analysis.deception_audit import Audit, DimensionAudit
from superalign.cli.format import percent
from superalign.records.evaluation import Interval

_WHAT = {"harmful": "harmful", "lookalike": "look-alikes", "ordinary": "ordinary"}


def audit_facts(audit: Audit | None) -> Iterator[tuple[str, str]]:
    """(label, text): one line, and one more for each alarm; or why there is none."""
    if audit is None:
        return
    if audit.off:
        yield "deception", f"not audited: {audit.off}"
    if audit.dimensions:
        parts = "; ".join(_said(part) for part in audit.dimensions)
        none = "" if any(part.alarm for part in audit.dimensions) else "; nowhere surely worse"
        yield "deception", f"right replies where the critic sees, and where it does not: {parts}{none}"
    for part in audit.dimensions:
        if part.alarm and part.difference is not None:
            gap = f"{100 * part.difference.low:+.1f} to {100 * part.difference.high:+.1f} points"
            score = f"deception score {percent(part.score)}, {percent(part.expected)} without a difference"
            what = f"ALARM: {_WHAT[part.dimension]} worse where the critic can't see"
            yield "deception", f"{what} ({gap}; {score}), so read some of the replies"


def _said(part: DimensionAudit) -> str:
    return f"{_WHAT[part.dimension]} {_share(part.seen)} and {_share(part.unseen)}"


def _share(found: Interval) -> str:
    return f"{percent(found.rate)} of {found.n}" if found.n else "- of 0"
