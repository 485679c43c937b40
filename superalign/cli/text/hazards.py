"""Hazards by rounds: how the attacks fared against each round's learner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from superalign.analysis.attacks.records import Group
from superalign.analysis.summary import RoundSummary
from superalign.cli.format import clean

NAME_CHARS = 24
ROUNDS_SHOWN = 8
"""The last ones; so many fit into 80 columns."""


def hazard_grids(rounds: Sequence[RoundSummary]) -> list[str]:
    """A grid for harmful requests and one for benign ones; none before two rounds have attacked."""
    played = [summary for summary in rounds if summary.attack is not None][-ROUNDS_SHOWN:]
    if len(played) < 2:
        return []
    return [*_grid(played, "harmful", "complied with harm, %"), *_grid(played, "benign", "needlessly refused, %")]


def _grid(played: Sequence[RoundSummary], side: Literal["harmful", "benign"], title: str) -> list[str]:
    found = [{group.name: group for group in summary.attack.hazards} for summary in played if summary.attack]
    names = sorted({name for groups in found for name, group in groups.items() if getattr(group, side).n})
    if not names:
        return []
    head = "".join(f"{summary.round:>6}" for summary in played)
    lines = [f"{title:<{NAME_CHARS + 2}}{head}"]
    for name in names:
        cells = "".join(f"{_cell(groups.get(name), side):>6}" for groups in found)
        lines.append(f"{clean(name, NAME_CHARS):<{NAME_CHARS + 2}}{cells}")
    return ["\n".join(lines)]


def _cell(group: Group | None, side: Literal["harmful", "benign"]) -> str:
    share = getattr(group, side) if group else None
    return f"{100 * share.rate:.0f}" if share is not None and share.n else "-"
