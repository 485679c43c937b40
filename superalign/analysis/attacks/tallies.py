"""Counters that become intervals."""

from __future__ import annotations

from dataclasses import dataclass, field

from superalign.analysis.attacks.records import Group
from superalign.records.base import Intent
from superalign.records.evaluation import Interval
from superalign.stats.intervals import wilson


@dataclass
class Tally:
    """Hits among what was scored, and how much was not."""

    hits: int = 0
    scored: int = 0
    unscored: int = 0

    def add(self, success: bool | None) -> None:
        """Count one; None: not scored."""
        self.unscored += success is None
        self.scored += success is not None
        self.hits += success is True

    def add_all(self, other: Tally) -> None:
        """Count what another one has counted."""
        self.hits += other.hits
        self.scored += other.scored
        self.unscored += other.unscored

    def interval(self) -> Interval:
        """The share with its 95 % interval."""
        return wilson(self.hits, self.scored, self.unscored)


@dataclass
class Pair:
    """Tallies of one group, for harmful and for benign goals."""

    harmful: Tally = field(default_factory=Tally)
    benign: Tally = field(default_factory=Tally)

    def add(self, intent: Intent, success: bool | None) -> None:
        """Count one attack on the side of its goal."""
        (self.harmful if intent == "harmful" else self.benign).add(success)

    def group(self, name: str) -> Group:
        """As a row of a table."""
        attacks = sum(tally.scored + tally.unscored for tally in (self.harmful, self.benign))
        return Group(name=name, attacks=attacks, harmful=self.harmful.interval(), benign=self.benign.interval())
