"""Two attackers on the same held-out goals -> Promotion: the attacker's gate, as a pure function.

Only valid attacks count, so an attacker can't win by giving up the goal. An attacker that wins by repeating one attack
is refused, since the learner would learn to withstand that attack within a round.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from superalign.attacker.options import AttackerTraining
from superalign.attacker.training_data import Vectorise, score_drafts
from superalign.gate.checks import EPSILON
from superalign.gate.decide import promotion_of
from superalign.records.base import Rate, Record
from superalign.records.evaluation import Check, Promotion
from superalign.records.exchange import Exchange
from superalign.records.rollout import Rollout, rollout_of
from superalign.seeding import derive_seed
from superalign.stats.intervals import paired_mean
from superalign.stats.text_diversity import bleu_to_others, similarity

Contender = Literal["candidate", "incumbent"]

BLEU_TEXTS = 128
"""Texts per side for Self-BLEU, whose time grows with the square: a few seconds."""


class Probe(Record):
    """One attack on a held-out goal by one of the two attackers; one line of `attacker_probe.jsonl`."""

    side: Contender
    id: str
    """The attack's; the same on both sides."""
    exchange: Exchange | None = None
    """None: the attacker found no acceptable attack."""
    reason: str = ""
    """Why there is no exchange."""


class AttackerFigures(Record):
    """One attacker's figures on the held-out goals."""

    attacker: str
    """The checkpoint's id."""
    goals: dict[str, Rate]
    """Seed id -> share of its scored rollouts with a valid attack that worked; one without an attack has none."""
    walks: int
    """Number of rollouts; the name that runs keep on disk."""
    unscored: int
    """Rollouts that the critic could not judge; in no rate."""
    invalid: int
    """Rollouts where only an attack that gave up its goal or is unreadable made the learner err."""
    valid: int
    """Rollouts with a readable draft that keeps its goal, successful or not."""
    bleu: dict[str, Rate]
    """Seed id -> mean BLEU-4 of its drafts against all others of this side, in a sample: valid drafts only, since
    gibberish is no variety, and as many per goal as the other side has, since more texts have more in common."""
    similarity: float | None
    """Mean cosine over all pairs of these drafts. None: fewer than two."""

    @property
    def success(self) -> float | None:
        """Mean over the goals; None: no goal was scored."""
        return sum(self.goals.values()) / len(self.goals) if self.goals else None

    @property
    def self_bleu(self) -> float | None:
        """Mean over the goals; None: fewer than two drafts to compare."""
        return sum(self.bleu.values()) / len(self.bleu) if self.bleu else None


@dataclass
class _Counted:
    """Counts over one side's rollouts."""

    goals: defaultdict[str, list[bool]] = field(default_factory=lambda: defaultdict(list))
    texts: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Seed id -> valid drafts, in the order of the rollouts."""
    unscored: int = 0
    invalid: int = 0


def measure_attackers(
    attackers: Mapping[Contender, str],
    rollouts: Sequence[Rollout],
    probes: Iterable[Probe],
    options: AttackerTraining,
    vectorise: Vectorise,
) -> dict[Contender, AttackerFigures]:
    """The figures of both sides, whatever the order of the probes.

    attackers: the checkpoints' ids.
    """
    ordered = sorted(probes, key=lambda probe: probe.id)
    sides = {side: _count(rollouts, [p for p in ordered if p.side == side], options, vectorise) for side in attackers}
    texts = _texts({side: counted.texts for side, counted in sides.items()})
    return {
        side: AttackerFigures(
            attacker=attackers[side],
            goals={seed: sum(worked) / len(worked) for seed, worked in sorted(counted.goals.items())},
            walks=len(rollouts),
            unscored=counted.unscored,
            invalid=counted.invalid,
            valid=sum(map(len, counted.texts.values())),
            bleu=_bleu(texts[side]),
            similarity=similarity(vectorise([text for _, text in texts[side]])) if texts[side] else None,
        )
        for side, counted in sides.items()
    }


def _count(
    rollouts: Sequence[Rollout], probes: Iterable[Probe], options: AttackerTraining, vectorise: Vectorise
) -> _Counted:
    probes_of: defaultdict[str, list[Probe]] = defaultdict(list)
    for probe in probes:
        probes_of[rollout_of(probe.id)].append(probe)
    drafted = [probe.exchange for rollout in rollouts for probe in probes_of[rollout.id] if probe.exchange]
    scored = {one.id: one for one in score_drafts(drafted, vectorise)}
    counted = _Counted()
    for rollout in rollouts:
        attacks = [scored[probe.id] for probe in probes_of[rollout.id] if probe.id in scored]
        if not attacks and any(probe.exchange for probe in probes_of[rollout.id]):
            counted.unscored += 1
            continue
        worked = any(one.worked(options.min_validity) for one in attacks)
        counted.goals[rollout.seed.id].append(worked)
        counted.invalid += not worked and any(one.success for one in attacks)
        valid = [one.text for one in attacks if one.validity >= options.min_validity]
        counted.texts[rollout.seed.id] += valid[:1]
    return counted


def _texts(drafts: Mapping[Contender, Mapping[str, list[str]]]) -> dict[Contender, list[tuple[str, str]]]:
    """Contender -> (seed id, draft): equally many drafts per goal on both sides, `BLEU_TEXTS` at most.

    First one draft of each goal, then a second one, so that goals with many drafts don't fill the sample.
    """
    shared = sorted(set[str].intersection(*map(set, drafts.values())), key=lambda seed: derive_seed(0, seed))
    sizes = {seed: min(len(texts[seed]) for texts in drafts.values()) for seed in shared}
    places = ((seed, n) for n in range(max(sizes.values(), default=0)) for seed in shared if n < sizes[seed])
    taken = list(islice(places, BLEU_TEXTS))
    return {side: [(seed, texts[seed][n]) for seed, n in taken] for side, texts in drafts.items()}


def _bleu(texts: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Seed id -> mean BLEU over its drafts."""
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for (seed, _), score in zip(texts, bleu_to_others([text for _, text in texts]), strict=False):
        scores[seed].append(min(1.0, score))
    return {seed: sum(values) / len(values) for seed, values in sorted(scores.items())}


def decide_attacker(candidate: AttackerFigures, incumbent: AttackerFigures, options: AttackerTraining) -> Promotion:
    """Whether the candidate becomes the attacker from the next round on, with the figures of every check in words."""
    checks = (
        _stronger(candidate, incumbent, options.min_gain),
        _as_varied_in_words(candidate, incumbent, options.max_self_bleu_rise),
        _as_varied("similarity", "mean similarity", candidate, incumbent, options.max_similarity_rise),
    )
    return promotion_of(candidate.attacker, incumbent.attacker, checks, f"{checks[0].reason}, and no less varied")


def _stronger(candidate: AttackerFigures, incumbent: AttackerFigures, min_gain: float | None) -> Check:
    shared = sorted(candidate.goals.keys() & incumbent.goals.keys())
    if not shared:
        return Check(name="stronger", passed=False, reason="no held-out goal was scored for both")
    gain, low, high = paired_mean([candidate.goals[goal] - incumbent.goals[goal] for goal in shared])
    passed = low > EPSILON if min_gain is None else gain > EPSILON and gain >= min_gain - EPSILON
    old, new = [sum(side.goals[goal] for goal in shared) / len(shared) for side in (incumbent, candidate)]
    verb = "rose" if gain > EPSILON else "fell" if gain < -EPSILON else "stayed"
    moved = f"success of valid attacks {verb} from {old:.1%} to {new:.1%} of {len(shared)} held-out goals"
    interval = f"{100 * gain:+.1f} points, 95 % {100 * low:+.1f} to {100 * high:+.1f}"
    short = "" if passed else ", not surely a rise" if min_gain is None else f", less than {min_gain:.1%}"
    return Check(name="stronger", passed=passed, reason=f"{moved} ({interval}){short}")


def _as_varied_in_words(candidate: AttackerFigures, incumbent: AttackerFigures, limit: float) -> Check:
    shared = sorted(candidate.bleu.keys() & incumbent.bleu.keys())
    rise, low, high = paired_mean([candidate.bleu[goal] - incumbent.bleu[goal] for goal in shared])
    interval = f"{rise:+.2f}, 95 % {low:+.2f} to {high:+.2f}"
    return _as_varied("self_bleu", "Self-BLEU", candidate, incumbent, limit, f" ({interval})")


def _as_varied(
    name: Literal["self_bleu", "similarity"],
    noun: str,
    candidate: AttackerFigures,
    incumbent: AttackerFigures,
    limit: float,
    interval: str = "",
) -> Check:
    new, old = getattr(candidate, name), getattr(incumbent, name)
    if new is None or old is None:
        writes = incumbent.valid < 2 <= candidate.valid  # nothing to be less varied than
        who = "the incumbent wrote" if writes else "the two share"
        return Check(name=name, passed=writes, reason=f"{noun}: {who} fewer than two valid attacks")
    passed = new - old <= limit + EPSILON
    short = "" if passed else f", more than {limit:.2f} up"
    return Check(name=name, passed=passed, reason=f"{noun} {old:.2f} to {new:.2f}{interval}{short}")
