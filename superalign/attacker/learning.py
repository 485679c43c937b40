"""Exchanges -> what the attacker learns from: a pure compiler, as `superalign.pairing` is for the learner.

For one goal and one strategy: a draft that worked is shown (SFT), and preferred to one that did not (DPO). What gets
in is chosen greedily, the fittest first, and nothing that is too like what is in already: the attacker shall learn
many ways and not the one that happened to work most often.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np

from superalign.attacker.fitness import Scored, Vectorise, score_drafts
from superalign.attacker.options import AttackerTraining
from superalign.examples import Demonstration, PreferencePair, Target
from superalign.exchanges import Exchange

Group = tuple[str, str]
"""Seed id and strategy."""


def held_out(seed_id: str, share: float) -> bool:
    """Whether a goal is never trained on, so that the attacker can be measured on it; the same in every run."""
    digest = sha256(f"attacker holdout {seed_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < share * 2**64


def compile_drafts(
    exchanges: Iterable[Exchange], options: AttackerTraining, vectorise: Vectorise
) -> tuple[list[Demonstration], list[PreferencePair]]:
    """What a round teaches the attacker; equal exchanges in any order give equal examples in one order."""
    material = (e for e in exchanges if not held_out(e.attack.seed.id, options.holdout))
    scored = sorted(score_drafts(material, vectorise), key=lambda one: one.id)
    groups: defaultdict[Group, list[Scored]] = defaultdict(list)
    for one in scored:
        if not one.worked(options.min_validity):
            groups[one.seed, one.strategy].append(one)
    demonstrations, pairs = [], []
    taken: Counter[Group] = Counter()
    for winner in select([one for one in scored if one.worked(options.min_validity)], options, vectorise):
        demonstrations.append(
            Demonstration(
                id=f"{winner.id}/attacker/sft",
                origin="own",
                kind=winner.kind,
                prompt=winner.prompt,
                completion=Target(text=winner.text),
                source=winner.id,
            )
        )
        group = (winner.seed, winner.strategy)
        losers = _losers(winner, groups[group])
        if losers:
            pairs.append(_pair(winner, losers[taken[group] % len(losers)]))
            taken[group] += 1
    return demonstrations, pairs


def select(worked: Sequence[Scored], options: AttackerTraining, vectorise: Vectorise) -> list[Scored]:
    """The fittest first, none nearer to one before it than `max_similarity`, at most `per_goal` of one group."""
    ranked = sorted(worked, key=lambda one: (-one.fitness, one.id))
    if not ranked:
        return []
    vectors = vectorise([one.text for one in ranked])
    rows: list[int] = []
    counts: Counter[Group] = Counter()
    for row, one in enumerate(ranked):
        if counts[one.seed, one.strategy] >= options.per_goal:
            continue
        if rows and float(np.max(vectors[rows] @ vectors[row])) > options.max_similarity:
            continue
        rows.append(row)
        counts[one.seed, one.strategy] += 1
    return [ranked[row] for row in rows]


def _losers(winner: Scored, others: Sequence[Scored]) -> list[Scored]:
    """What the winner may be preferred to, answers to the very same prompt first, then the least fit first."""
    different = [one for one in others if one.text and one.text != winner.text]
    same = [one for one in different if one.prompt == winner.prompt]
    return sorted(same or different, key=lambda one: (one.fitness, one.id))


def _pair(winner: Scored, loser: Scored) -> PreferencePair:
    figures = [f"{one.degree:.2f} (validity {one.validity:.2f})" for one in (winner, loser)]
    return PreferencePair(
        id=f"{winner.id}/attacker/dpo",
        origin="best_worst",
        kind=winner.kind,
        prompt=winner.prompt,
        chosen=Target(text=winner.text),
        rejected=Target(text=loser.text),
        source=winner.id,
        reason=f"the learner erred by {figures[0]}, against {figures[1]} for {loser.id}",
    )
