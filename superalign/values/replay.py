"""Rejudges past training examples under a new version of the constitution: keep, reverse or drop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from superalign.pairing.training_examples import PairingOptions
from superalign.protocols import Critic, DropError
from superalign.records.base import Record
from superalign.records.exchange import Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Response
from superalign.records.training import Demonstration, PreferencePair, Target

PREFIX = "replay/"
"""Prefix of the ids of replayed examples."""


class Replayed(Record):
    """A past example, judged again; one line of `replay.jsonl`."""

    id: str
    """The example's id in its own round."""
    fate: Literal["held", "flipped", "dropped"]
    """held: its verdict still holds; flipped: the verdict changed, so the critic's better answer replaces the
    demonstration, or chosen and rejected are swapped; dropped: the verdict changed and neither is possible."""
    reason: str = ""
    demonstration: Demonstration | None = None
    pair: PreferencePair | None = None


class ReplayCounts(Record):
    """Numbers of replayed examples by fate."""

    held: int
    flipped: int
    dropped: int


def past_examples(
    exchanges: Iterable[Exchange], demonstrations: Iterable[Demonstration], pairs: Iterable[PreferencePair]
) -> Iterator[tuple[Attack, Demonstration | PreferencePair]]:
    """One round's own examples with their attacks, without experts' and replayed ones."""
    examples: dict[str, list[Demonstration | PreferencePair]] = {}
    own: list[Demonstration | PreferencePair] = [*demonstrations, *pairs]
    for example in own:
        if not example.id.startswith(PREFIX):
            examples.setdefault(example.source, []).append(example)
    for exchange in exchanges:
        for example in examples.get(exchange.id, ()):
            yield exchange.attack, example


async def rejudged(
    example: Demonstration | PreferencePair, attack: Attack, critic: Critic, options: PairingOptions
) -> Replayed:
    """The example's fate under the critic's present constitution."""
    if isinstance(example, Demonstration):
        return await _demonstration(example, attack, critic, options)
    chosen, rejected = [await _verdict(critic, attack, side.text) for side in (example.chosen, example.rejected)]
    if chosen is None or rejected is None or chosen.score is None or rejected.score is None:
        return Replayed(id=example.id, fate="dropped", reason="the critic gives no verdict")
    gap = chosen.score - rejected.score
    renamed = {"id": PREFIX + example.id, "chosen": _bare(example.chosen), "rejected": _bare(example.rejected)}
    if chosen.score >= options.accept and gap >= options.margin:
        return Replayed(id=example.id, fate="held", pair=example.model_copy(update=renamed))
    if rejected.score >= options.accept and -gap >= options.margin:
        turned = {"chosen": renamed["rejected"], "rejected": renamed["chosen"], "reason": chosen.rationale}
        return Replayed(id=example.id, fate="flipped", pair=example.model_copy(update=renamed | turned))
    return Replayed(id=example.id, fate="dropped", reason=f"neither answer is better by {options.margin:.2f} now")


async def _demonstration(example: Demonstration, attack: Attack, critic: Critic, options: PairingOptions) -> Replayed:
    verdict = await _verdict(critic, attack, example.completion.text)
    if verdict is None or verdict.score is None:
        return Replayed(id=example.id, fate="dropped", reason="the critic gives no verdict")
    renamed = {"id": PREFIX + example.id, "completion": _bare(example.completion)}
    if verdict.score >= options.accept:
        return Replayed(id=example.id, fate="held", demonstration=example.model_copy(update=renamed))
    if options.critic_answers and verdict.better:
        again = await _verdict(critic, attack, verdict.better)
        if again is not None and again.score is not None and again.score >= options.accept:
            better = {"completion": Target(text=verdict.better), "origin": "critic"}
            return Replayed(
                id=example.id, fate="flipped", reason=verdict.rationale,
                demonstration=example.model_copy(update=renamed | better),
            )  # fmt: skip
    return Replayed(id=example.id, fate="dropped", reason=verdict.rationale)


async def _verdict(critic: Critic, attack: Attack, text: str) -> Verdict | None:
    try:
        reply = Generation(text=text, num_tokens=0)
        return (await critic.critique(Response(attack=attack, index=0, generation=reply))).verdict
    except DropError:
        return None


def _bare(target: Target) -> Target:
    """The target without the sampler's log-probability, which comes from another policy."""
    return target.model_copy(update={"ref_logprob": None, "ref_tokens": None})


def counted(replayed: Iterable[Replayed]) -> ReplayCounts:
    """Counts examples by fate."""
    fates = Counter(example.fate for example in replayed)
    return ReplayCounts(held=fates["held"], flipped=fates["flipped"], dropped=fates["dropped"])
