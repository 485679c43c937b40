"""Which seeds are attacked in a round, and in which order. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from superalign.records.base import KINDS, Kind
from superalign.records.rollout import Rollout, Seed
from superalign.seeding import derive_seed


def schedule(
    seeds: Sequence[Seed],
    per_round: Mapping[Kind, int],
    run_seed: int,
    round: int,
    kept_out: Collection[str] = frozenset(),
) -> list[Rollout]:
    """The rollouts of a round: each kind goes round its seeds in a fixed random order, so that rounds take different
    seeds while they last; and one rollout on each seed that is kept out of training.
    """
    rollouts: list[Rollout] = []
    for kind in KINDS:
        own = [seed for seed in seeds if seed.kind == kind and seed.id not in kept_out]
        random.Random(derive_seed(run_seed, "seeds", kind)).shuffle(own)
        count = per_round.get(kind, len(own))
        if own:
            start = (round - 1) * count
            for i in range(count):
                seed = own[(start + i) % len(own)]
                rollouts.append(Rollout(round=round, seed=seed, index=i // len(own), position=len(rollouts)))
    for seed in seeds:
        if seed.id in kept_out:
            rollouts.append(Rollout(round=round, seed=seed, index=0, position=len(rollouts)))
    return rollouts
