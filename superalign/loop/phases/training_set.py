"""A round's training set: exchanges, experts' and replayed examples into `demonstrations.jsonl` and `pairs.jsonl`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Literal, TypeVar

from superalign.gate.decide import pooled
from superalign.pairing.kind_shares import OBJECTIVES, Cut, Effort, Example, Mixed, wanted_share
from superalign.pairing.training_examples import PairingOptions, compile_round, own_share, repeat_experts
from superalign.records.base import Kind
from superalign.records.evaluation import Evaluation
from superalign.records.exchange import Anchor, Dropped, Exchange
from superalign.records.training import Demonstration, PreferencePair
from superalign.store.atomic import write_json
from superalign.store.journal import Journal, read_records, write_records
from superalign.store.round_folder import RoundFolder

T = TypeVar("T", Demonstration, PreferencePair, Dropped)


def compile_examples(
    round_folder: RoundFolder,
    exchanges: Callable[[], Iterable[Exchange]],
    replayed: Callable[[], Iterable[Example]],
    experts: Sequence[Demonstration],
    options: PairingOptions,
    incumbent: Evaluation,
) -> None:
    """Write both files, a pass for each kind, so that memory does not grow with the number of exchanges.

    `pairs.jsonl` is written last and means that both are whole. incumbent: the gaps that effort follows.
    """
    anchors = {anchor.id: anchor.answer for anchor in read_records(round_folder.anchors, Anchor)}
    share = own_share(exchanges(), options, anchors)

    def compiled(kind: type[T]) -> Iterator[T]:
        examples = compile_round(exchanges(), options, anchors, share)
        return (example for example in examples if isinstance(example, kind))

    def demonstrations() -> Iterator[Demonstration]:
        past = (example for example in replayed() if isinstance(example, Demonstration))
        return chain(repeat_experts(experts, options), compiled(Demonstration), past)

    def pairs() -> Iterator[PreferencePair]:
        past = (example for example in replayed() if isinstance(example, PreferencePair))
        return chain(compiled(PreferencePair), past)

    with Journal(round_folder.dropped, Dropped) as dropped:
        for loss in compiled(Dropped):
            dropped.append(loss)
    gaps = (_rate(incumbent, ("harmful",), "complied"), _rate(incumbent, ("lookalike", "ordinary"), "refused"))
    wanted = wanted_share(options.effort, round_folder.number, gaps[0] or 0.0, gaps[1] or 0.0)
    taught = Cut.of(demonstrations(), wanted)
    preferred = Cut.of(pairs(), wanted)
    if options.effort != Mixed():
        kept = {side: taught.kept[side] + preferred.kept[side] for side in OBJECTIVES}
        left_out = {side: taught.found[side] + preferred.found[side] - kept[side] for side in OBJECTIVES}
        effort = Effort(conformity=wanted, conformity_gap=gaps[0], competence_gap=gaps[1], kept=kept, left_out=left_out)
        write_json(round_folder.effort_json, effort)
    write_records(round_folder.demonstrations, (example for example in demonstrations() if taught.keeps(example)))
    write_records(round_folder.pairs, (example for example in pairs() if preferred.keeps(example)))


def _rate(evaluation: Evaluation, kinds: Sequence[Kind], what: Literal["refused", "complied"]) -> float | None:
    share = pooled(evaluation, kinds, what)
    return share.rate if share is not None and share.n else None
