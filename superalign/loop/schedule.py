"""Which seeds are attacked in a round, and in which order. Pure."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping, Sequence

from superalign.records.base import KINDS, Kind
from superalign.records.rollout import Seed, Walk
from superalign.seeding import derive_seed


def schedule(
    seeds: Sequence[Seed],
    per_round: Mapping[Kind, int],
    run_seed: int,
    round: int,
    kept_out: Collection[str] = frozenset(),
) -> list[Walk]:
    """The walks of a round: each kind goes round its seeds in a fixed random order, so that rounds take different
    seeds while they last; and one walk on each seed that is kept out of training.
    """
    walks: list[Walk] = []
    for kind in KINDS:
        own = [seed for seed in seeds if seed.kind == kind and seed.id not in kept_out]
        random.Random(derive_seed(run_seed, "seeds", kind)).shuffle(own)
        count = per_round.get(kind, len(own))
        if own:
            start = (round - 1) * count
            for i in range(count):
                seed = own[(start + i) % len(own)]
                walks.append(Walk(round=round, seed=seed, index=i // len(own), position=len(walks)))
    for seed in seeds:
        if seed.id in kept_out:
            walks.append(Walk(round=round, seed=seed, index=0, position=len(walks)))
    return walks
