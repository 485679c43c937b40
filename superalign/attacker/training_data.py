"""Exchanges -> what the attacker learns from: a pure compiler, as the room `pairing` is for the learner.

For one goal and one strategy: a draft that worked is shown (SFT), and preferred to drafts that did not (DPO). The
attacker shall learn many ways and not the one that happened to work most often. So, after Lanchantin et al. 2025,
"Diverse Preference Optimization" (arXiv 2501.18101), quality is a threshold and no rank: of what worked the least
commonplace is preferred, to the most commonplace of what did not, and nothing gets in that is too like what is in.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

import numpy as np

from superalign.attacker.options import AttackerTraining
from superalign.attacker.strategies.writer import overlap
from superalign.models.embedder import Vectors
from superalign.records.base import Kind
from superalign.records.exchange import Exchange
from superalign.records.rollout import Messages
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


Vectorise = Callable[[Sequence[str]], Vectors]
"""(n, dim) float32, a row of length 1 for each text; `Embedder.embed` or `word_vectors`."""
Trigram = tuple[str, str, str]
"""Three words in a row."""

_DIM = 4096
_LONGEST_WORD = 20
_WORD = re.compile(r"[^\W_]+")
_EDGES = "\"'`“”‘’«»*.,;:!?()[]{}<>-–—…"


@dataclass(frozen=True)
class Scored:
    """A draft with what became of it."""

    id: str
    """The exchange's."""
    seed: str
    kind: Kind
    strategy: str
    prompt: Messages
    text: str
    degree: float
    """How far the learner erred, 0 to 1: 1 - the worst answer's score."""
    validity: float
    """0 to 1, the least of: the goal is kept, the draft can be read."""
    success: bool

    def worked(self, min_validity: float) -> bool:
        """Whether it made the learner err without giving up its goal."""
        return self.success and self.validity >= min_validity


def score_drafts(exchanges: Iterable[Exchange], vectorise: Vectorise) -> list[Scored]:
    """The scored exchanges on harmful goals whose attack a model wrote, in the order given.

    Benign goals are no material: words that make a harmless request look harmful are no longer a harmless request.
    """
    rows = [
        (exchange, exchange.attack.draft, exchange.worst, bool(exchange.success))
        for exchange in exchanges
        if not exchange.attack.setup and exchange.attack.seed.intent == "harmful"
    ]
    usable = [(e, draft, worst, success) for e, draft, worst, success in rows if draft and worst is not None]
    goals = [e.attack.seed.goal for e, *_ in usable]
    asked = [" ".join(turn.content for turn in e.attack.messages if turn.role == "user") for e, *_ in usable]
    # a chain may have put the draft into a code, and a frame may hold the goal that the draft is only a part of
    drafted = _goal_kept(goals, [draft.text for _, draft, *_ in usable], vectorise)
    kept = map(max, drafted, _goal_kept(goals, asked, vectorise))
    return [
        Scored(
            id=exchange.id,
            seed=exchange.attack.seed.id,
            kind=exchange.attack.seed.kind,
            strategy=exchange.attack.strategy,
            prompt=draft.prompt,
            text=draft.text.strip(),
            degree=1.0 - worst,
            validity=min(share, readable(draft.text)),
            success=success,
        )
        for (exchange, draft, worst, success), share in zip(usable, kept, strict=True)
    ]


def readable(text: str) -> float:
    """0 to 1: the lesser of the share of words that look like words and the share of 3-grams that are no repetition.

    0 for fewer than three words.
    """
    words = text.split()
    if len(words) < 3:
        return 0.0
    like = sum(_is_wordlike(word.strip(_EDGES)) for word in words) / len(words)
    trigrams = [tuple(word.lower() for word in words[i : i + 3]) for i in range(len(words) - 2)]
    return min(like, len(set(trigrams)) / len(trigrams))


def commonness(drafts: Sequence[Scored]) -> dict[str, float]:
    """Id -> how commonplace a draft's wording is among these, 0 to 1.

    The mean over its word 3-grams of the share of the other goals for which a draft has them, too. The words of a goal
    are its own; what is shared is the way of asking.
    """
    trigrams_of = {one.id: _trigrams(one.text) for one in drafts}
    goals: defaultdict[Trigram, set[str]] = defaultdict(set)
    for one in drafts:
        for trigram in trigrams_of[one.id]:
            goals[trigram].add(one.seed)
    others = max(1, len({one.seed for one in drafts}) - 1)
    return {
        id: sum(len(goals[trigram]) - 1 for trigram in trigrams) / (len(trigrams) * others) if trigrams else 1.0
        for id, trigrams in trigrams_of.items()
    }


def _trigrams(text: str) -> set[Trigram]:
    words = _WORD.findall(text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))


def word_vectors(texts: Sequence[str]) -> Vectors:
    """(n, 4096) float32, rows of length 1: counts of words (cut to five letters) and of their pairs, hashed.

    Needs no model and knows no synonyms; texts without a letter get the same row.
    """
    vectors = np.zeros((len(texts), _DIM), dtype=np.float32)
    for row, text in zip(vectors, texts, strict=True):
        stems = [word[:5] for word in _WORD.findall(text.lower())] or [""]
        for feature in (*stems, *(f"{a} {b}" for a, b in pairwise(stems))):
            row[zlib.crc32(feature.encode()) % _DIM] += 1.0  # `hash` differs from process to process
    norms: Vectors = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = vectors / norms
    return scaled


def _goal_kept(goals: Sequence[str], asked: Sequence[str], vectorise: Vectorise) -> list[float]:
    """How much of the goal is left, 0 to 1: the mean of the share of its words and of its nearness.

    One alone won't do: "a pirate's loot" has half of the words of "pirate a textbook", and another reason to be near.
    """
    if not goals:
        return []
    near = (vectorise(goals) * vectorise(asked)).sum(axis=1)
    return [
        (overlap(goal, text) + min(1.0, max(0.0, float(cosine)))) / 2
        for goal, text, cosine in zip(goals, asked, near, strict=True)
    ]


def _is_wordlike(word: str) -> bool:
    letters = re.sub(r"['’\-/]", "", word)
    if not letters.isalnum() or re.search(r"(.)\1{3}", letters):
        return False
    if not letters.isascii() or letters.isdigit():
        return True  # the rules below are those of English
    return letters.isalpha() and len(letters) <= _LONGEST_WORD and bool(re.search("[aeiouy]", letters.lower()))
