"""Exchanges -> what the attacker learns from: a pure compiler, as the room `pairing` is for the learner.

For one goal and one strategy: a draft that worked is shown (SFT), and preferred to drafts that did not (DPO). The
attacker shall learn many ways and not the one that happened to work most often. So, after Lanchantin et al. 2025,
"Diverse Preference Optimization" (arXiv 2501.18101), quality is a threshold and no rank: of what worked the least
commonplace is preferred, to the most commonplace of what did not, and nothing gets in that is too like what is in.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

import numpy as np

from superalign.attacker.draft_scores import Scored, Vectorise, commonness, score_drafts
from superalign.attacker.options import AttackerTraining
from superalign.records.exchange import Exchange
from superalign.records.training import Demonstration, PreferencePair, Target

Group = tuple[str, str]
"""Seed id and strategy."""
LOSERS = 2
"""To how many drafts that failed one that worked is preferred."""


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
    common = commonness(scored)
    demonstrations, pairs = [], []
    worked = [one for one in scored if one.worked(options.min_validity)]
    for winner in select(worked, common, options, vectorise):
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
        losers = _losers(winner, groups[winner.seed, winner.strategy], common)
        pairs += [_pair(winner, loser, n) for n, loser in enumerate(losers[:LOSERS])]
    return demonstrations, pairs


def select(
    worked: Sequence[Scored], common: Mapping[str, float], options: AttackerTraining, vectorise: Vectorise
) -> list[Scored]:
    """The least commonplace first, none nearer to one before it than `max_similarity`, `per_goal` of a group at most.

    common: id -> how commonplace it is.
    """
    ranked = sorted(worked, key=lambda one: (common[one.id], one.id))
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


def _losers(winner: Scored, others: Sequence[Scored], common: Mapping[str, float]) -> list[Scored]:
    """What the winner may be preferred to: answers to the very same prompt if there are any, the commonest first."""
    different = [one for one in others if one.text and one.text != winner.text]
    same = [one for one in different if one.prompt == winner.prompt]
    return sorted(same or different, key=lambda one: (-common[one.id], one.id))


def _pair(winner: Scored, loser: Scored, number: int) -> PreferencePair:
    figures = [f"{one.degree:.2f} (validity {one.validity:.2f})" for one in (winner, loser)]
    return PreferencePair(
        id=f"{winner.id}/attacker/dpo{number}",
        origin="best_worst",
        kind=winner.kind,
        prompt=winner.prompt,
        chosen=Target(text=winner.text),
        rejected=Target(text=loser.text),
        source=winner.id,
        reason=f"the learner erred by {figures[0]}, against {figures[1]} for {loser.id}",
    )
