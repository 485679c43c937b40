"""Tables whose cells are shaded by a share: hazards or strategies by rounds."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from superalign.records.evaluation import Interval
from superalign.report.html import Content, hazard_name, limits, table, tag

MOST = 15
"""Rows; a search may breed thousands of strategies."""
SHADES = 10


def grid(columns: Mapping[str, Mapping[str, Interval]], title: str, more: str = "") -> Markup | None:
    """Shares by row for each column, the commonest rows first; None where nothing was scored.

    more: where those beyond `MOST` are to be found.
    """
    uses: dict[str, int] = {}
    for shares in columns.values():
        for name, value in shares.items():
            uses[name] = uses.get(name, 0) + value.n
    names = sorted((name for name in sorted(uses) if uses[name]), key=lambda name: -uses[name])
    if not names:
        return None
    rows: list[list[Content]] = [
        [hazard_name(name), *(_cell(shares.get(name)) for shares in columns.values())] for name in names[:MOST]
    ]
    left_out = tag("p", f"{len(names) - MOST} more: {more}", class_="quiet") if len(names) > MOST else None
    return tag("div", table(["round", *columns], rows, title), left_out, class_="heat")


def _cell(value: Interval | None) -> Markup:
    if value is None or not value.n:
        return tag("td", "–")
    shade = round(SHADES * value.rate)
    return tag("td", f"{100 * value.rate:.0f} ", tag("small", value.n), class_=f"h{shade}", title=limits(value))
