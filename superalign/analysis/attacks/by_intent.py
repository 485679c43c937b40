"""What is counted of all attacks with harmful goals, or of all with benign ones."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from superalign.analysis.attacks.records import Diversity, Hit, Side, Turns
from superalign.analysis.attacks.tallies import Tally
from superalign.records.exchange import Exchange
from superalign.records.rollout import Attack
from superalign.stats.text_diversity import (
    BLEU_SAMPLE,
    EARLIER,
    Embed,
    Sample,
    attack_text,
    blocks,
    distinct,
    evenness,
    novelty,
    self_bleu,
    similarity,
    units,
    words_of,
)

AT = (1, 3, 5, 10)
Key = tuple[str, str, Turns]
"""Hazard, style, turns."""
Place = tuple[int, int]
"""Rollout and step of a query among those of its goal."""


@dataclass
class AttackSet:
    """A set of attacks whose diversity is asked for."""

    sample: Sample = field(default_factory=Sample)
    strategies: Counter[str] = field(default_factory=Counter)
    cells: Counter[Key] = field(default_factory=Counter)

    def add(self, id: str, text: str, strategy: str, cell: Key) -> None:
        """Count one attack."""
        self.sample.add(id, text)
        self.strategies[strategy] += 1
        self.cells[cell] += 1

    def diversity(self, embed: Embed | None) -> Diversity:
        """Of all that was counted."""
        texts = self.sample.texts()
        return Diversity(
            attacks=self.strategies.total(),
            self_bleu=self_bleu(texts[:BLEU_SAMPLE]),
            similarity=similarity(units(embed, texts)) if embed and len(texts) > 1 else None,
            strategy_evenness=evenness(self.strategies.values()),
            cell_evenness=evenness(self.cells.values()),
        )


@dataclass
class Goal:
    """One seed's queries, and its successes as far as their words differ."""

    queries: list[tuple[Place, bool | None]] = field(default_factory=list)
    scored: bool = False
    successes: dict[bytes, tuple[Place, str]] = field(default_factory=dict)
    """Hash of a success's words -> the first with these words."""

    def add_success(self, place: Place, attack: Attack, text: str) -> None:
        """Keep its text unless a success before it has the same words."""
        words = words_of("\n".join(turn.content for turn in attack.messages if turn.role == "user"))
        key = hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest()
        self.successes[key] = min(self.successes.get(key, (place, text)), (place, text))

    def hit(self, k: int) -> bool | None:
        """Whether one of its first k queries was a success; None: none was ever scored."""
        return any(success for _, success in sorted(self.queries, key=lambda q: q[0])[:k]) if self.scored else None


class SideCounts:
    """Everything about one intent; holds flags of every query, texts of successes and of a sample."""

    def __init__(self) -> None:
        self.goals: dict[str, Goal] = defaultdict(Goal)
        self.tally = Tally()
        self.all, self.successful = AttackSet(), AttackSet()

    def add(self, exchange: Exchange, cell: Key) -> None:
        """Count one query, judged or not."""
        attack, goal, place = exchange.attack, self.goals[exchange.attack.seed.id], _place(exchange.id)
        success = None if attack.setup else exchange.success
        goal.queries.append((place, success))
        goal.scored |= success is not None
        if attack.setup:
            return
        self.tally.add(success)
        text = attack_text(attack)
        self.all.add(exchange.id, text, attack.strategy, cell)
        if success:
            goal.add_success(place, attack, text)
            self.successful.add(exchange.id, text, attack.strategy, cell)

    def figures(self, earlier: Sample, embed: Embed | None) -> Side:
        """What it comes to; the only place that embeds."""
        queries = sum(len(goal.queries) for goal in self.goals.values())
        won = [[text for _, text in sorted(goal.successes.values())] for goal in self.goals.values()]
        apart = sum(distinct(texts, embed) for texts in won if texts) if embed else None
        attacks, known = self.all.sample.texts(), earlier.texts(EARLIER)
        return Side(
            queries=queries,
            attacks=self.tally.scored + self.tally.unscored,
            success=self.tally.interval(),
            goals=len(self.goals),
            hits=tuple(self._hits()),
            queries_per_success=queries / self.tally.hits if self.tally.hits else None,
            different=sum(map(len, won)),
            distinct=apart,
            distinct_per_goal=apart / len(self.goals) if apart is not None and self.goals else None,
            all=self.all.diversity(embed),
            successful=self.successful.diversity(embed),
            novelty=novelty(units(embed, attacks), blocks(embed, known)) if embed and attacks and known else None,
        )

    def _hits(self) -> Iterable[Hit]:
        most = max((len(goal.queries) for goal in self.goals.values()), default=0)
        for k in AT:
            if k <= most:
                tally = Tally()
                for goal in self.goals.values():
                    tally.add(goal.hit(k))
                yield Hit(k=k, share=tally.interval())


def _place(attack_id: str) -> Place:
    """`r001/SEED/2.1` -> (2, 1)."""
    rollout, _, step = attack_id.rpartition("/")[2].partition(".")
    return int(rollout), int(step or 0)
