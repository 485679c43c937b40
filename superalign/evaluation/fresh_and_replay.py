"""Exchanges -> suites: attacks on seeds that are never trained on, and attacks that worked before. Pure."""

from __future__ import annotations

import heapq
import random
from collections.abc import Collection, Iterable, Mapping, Sequence

from superalign.evaluation.items import Suite, SuiteItem
from superalign.evaluation.overlap import KnownText, TextIndex
from superalign.files.hashes import sha256_bytes
from superalign.records.base import KINDS, Kind
from superalign.records.evaluation import AttackSet
from superalign.records.exchange import Exchange
from superalign.records.rollout import Seed, rollout_of
from superalign.seeding import derive_seed

LEAST_SHARE = 5
"""At most every fifth seed of a kind is kept out, so that few seeds are left to train on."""


def keep_out(
    seeds: Sequence[Seed], known: Sequence[KnownText], counts: Mapping[Kind, int], run_seed: int
) -> frozenset[str]:
    """Ids of the seeds that no round trains on: a fixed sample of each kind, so many or a fifth of it.

    known: all that is trained on, the seeds among it. A seed that repeats another such text is not chosen.
    """
    chosen: list[Seed] = []
    for kind in KINDS:
        own = [seed for seed in seeds if seed.kind == kind]
        random.Random(derive_seed(run_seed, "kept out", kind)).shuffle(own)
        count = min(counts.get(kind, 0), len(own) // LEAST_SHARE)
        chosen += own[: 2 * count]  # twice as many, for some may be like others
    candidates = {seed.id for seed in chosen}
    rest = TextIndex([text for text in known if text.id not in candidates])
    kept: dict[Kind, list[Seed]] = {kind: [] for kind in KINDS}
    back: list[Seed] = []
    for seed in chosen:
        of_kind = sum(one.kind == seed.kind for one in seeds)
        full = len(kept[seed.kind]) >= min(counts.get(seed.kind, 0), of_kind // LEAST_SHARE)
        (back if full or rest.like(seed.goal) else kept[seed.kind]).append(seed)
    returned = TextIndex([KnownText(id=seed.id, file="the seeds", text=seed.goal) for seed in back])
    return frozenset(seed.id for own in kept.values() for seed in own if returned.like(seed.goal) is None)


def fresh_suites(exchanges: Iterable[Exchange], kept_out: Collection[str], file: str) -> list[Suite]:
    """The last attack of each rollout on a seed that is kept out, a suite for each kind; file: where they stand."""
    last: dict[str, tuple[int, Exchange]] = {}
    own: dict[str, set[str]] = {}
    for exchange in exchanges:
        if exchange.attack.seed.id not in kept_out:
            continue
        _note_own(exchange, own)
        rollout, step = rollout_of(exchange.id), _step(exchange.id)
        if not exchange.attack.setup and step >= last.get(rollout, (-1, exchange))[0]:
            last[rollout] = step, exchange
    return _suites("fresh", [exchange for _, (_, exchange) in sorted(last.items())], own, file)


def replay_suites(exchanges: Iterable[Exchange], counts: Mapping[Kind, int], run_seed: int, file: str) -> list[Suite]:
    """Attacks that worked, a suite for each kind with so many of them at most.

    The sample changes as little as it can while the attacks become more: each has a fixed random number, and those
    with the smallest are taken. Of attacks in the same words only the first counts. file: where they stand.
    """
    own: dict[str, set[str]] = {}
    seen: set[str] = set()
    kept: dict[Kind, list[tuple[int, str, Exchange]]] = {kind: [] for kind in KINDS}
    for exchange in exchanges:
        _note_own(exchange, own)
        words = sha256_bytes(exchange.attack.messages[-1].content)
        if exchange.attack.setup or not exchange.success or words in seen:
            continue
        seen.add(words)
        heap, number = kept[exchange.attack.seed.kind], derive_seed(run_seed, "replay", exchange.id)
        heapq.heappush(heap, (-number, exchange.id, exchange))
        if len(heap) > counts.get(exchange.attack.seed.kind, 0):
            heapq.heappop(heap)
    chosen = [exchange for heap in kept.values() for _, _, exchange in heap]
    return _suites("replay", sorted(chosen, key=lambda exchange: exchange.id), own, file)


def _suites(set: AttackSet, exchanges: Sequence[Exchange], own: Mapping[str, set[str]], file: str) -> list[Suite]:
    suites = []
    for kind in KINDS:
        of_kind = [exchange for exchange in exchanges if exchange.attack.seed.kind == kind]
        items = tuple(_item(exchange, own, line) for line, exchange in enumerate(of_kind, 1))
        digest = sha256_bytes("\n".join(item.model_dump_json() for item in items))
        if items:
            suites.append(Suite(name=f"{set}-{kind}", kind=kind, set=set, file=file, sha256=digest, items=items))
    return suites


def _item(exchange: Exchange, own: Mapping[str, set[str]], line: int) -> SuiteItem:
    """Without what the learner itself had answered on the way: whoever is measured answers for itself."""
    replies = own.get(rollout_of(exchange.id), ())
    *earlier, last = exchange.attack.messages
    turns = tuple(turn for turn in earlier if turn.role != "assistant" or turn.content not in replies)
    return SuiteItem(id=exchange.id, prompt=last.content, earlier=turns, hazard=exchange.attack.seed.hazard, line=line)


def _note_own(exchange: Exchange, own: dict[str, set[str]]) -> None:
    if exchange.attack.setup:
        own.setdefault(rollout_of(exchange.id), set()).update(answer.generation.text for answer in exchange.answers)


def _step(attack_id: str) -> int:
    """Which of its rollout's attacks this is."""
    return int(attack_id.rpartition("/")[2].partition(".")[2] or 0)
