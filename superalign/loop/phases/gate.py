"""What the gate decides from, read from the run folder, and its decision."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from superalign.analysis.summary import attacked_in, divergences, summarise_round
from superalign.critic.quality.divergence import Divergence
from superalign.errors import TrainingError
from superalign.gate.decide import GateOptions, decide
from superalign.gate.paired_items import pair_items
from superalign.records.evaluation import Evaluation, ItemResult, Promotion
from superalign.records.training import Checkpoint
from superalign.store.journal import read_records
from superalign.store.round_folder import read_record
from superalign.store.run_folder import RunFolder


def decide_round(
    folder: RunFolder, number: int, options: GateOptions, incumbent: Evaluation, incumbent_items: Path
) -> Promotion:
    """The decision on a round's candidate, whose evaluation is in the round's folder.

    incumbent_items: the journal of the round that made the incumbent; what it came to on this round's attack sets is
    read beside it.
    """
    candidate, base = (read_record(folder.round(n).evaluation_json, Evaluation) for n in (number, 0))
    round_folder = folder.round(number)
    old = chain(read_records(incumbent_items, ItemResult), read_records(round_folder.incumbent_items, ItemResult))
    new = read_records(round_folder.evaluation_items, ItemResult)
    pairs = pair_items(old, new, candidate.suites)
    return decide(candidate, incumbent, pairs, options, base=base, drift=drift(folder, number))


def no_candidate(number: int, incumbent: Checkpoint, error: TrainingError) -> Promotion:
    """Training that fails is a decision for the incumbent."""
    reason = f"training gave no candidate, {incumbent.id} stays: {error}"
    return Promotion(candidate=f"round-{number:03d}", incumbent=incumbent.id, promoted=False, reason=reason)


def drift(folder: RunFolder, number: int) -> tuple[Divergence, ...]:
    """Critic against judge, over the learners that were attacked in the first round and in this one."""
    then, now = attacked_in(folder, 1), attacked_in(folder, number)
    if then == now:
        return ()
    first, this = (summarise_round(folder.round(played)).critic_faults for played in (1, number))
    before, after = (read_record(folder.round(made).evaluation_json, Evaluation) for made in (then, now))
    return divergences(first, this, before, after)
