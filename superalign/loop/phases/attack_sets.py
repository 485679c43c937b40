"""The attack sets of a round: what candidate and incumbent are both measured on, besides the recipe's own suites.

The incumbent meets them before anything is trained; what came of it is `incumbent_evaluation.json`. The candidate meets
them with the recipe's suites, in its `evaluation.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from superalign.evaluation.fresh_and_replay import fresh_suites, replay_suites
from superalign.evaluation.items import Suite
from superalign.evaluation.options import EvaluationOptions
from superalign.protocols import Evaluator, Observer
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Exchange
from superalign.records.training import Checkpoint
from superalign.store.atomic import write_json
from superalign.store.journal import Journal, read_records
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder


@dataclass(frozen=True)
class SetsPlan:
    """Where the sets come from and who measures on them."""

    options: EvaluationOptions
    kept_out: frozenset[str]
    """Ids of the seeds that are attacked and never trained on."""
    seed: int
    over: Callable[[Sequence[Suite], bool], Evaluator]
    """(suites, whether the recipe's own suites come as well) -> an evaluator of them."""


class AttackSets:
    """The sets of one run."""

    def __init__(
        self,
        plan: SetsPlan,
        folder: RunFolder,
        observer: Observer,
        phase: Callable[[str, int, int], AbstractContextManager[None]],
    ) -> None:
        """phase: (name, items in all, those done before) -> the block in which they are measured."""
        self.plan, self.folder, self.observer, self._phase = plan, folder, observer, phase

    def trained_on(self, exchange: Exchange) -> bool:
        """Whether the learner may learn from an exchange."""
        return exchange.attack.seed.id not in self.plan.kept_out

    def evaluator(self, round_folder: RoundFolder) -> Evaluator:
        """Of a round's candidate: the recipe's suites and the round's sets."""
        return self.plan.over(self._suites(round_folder), True)

    async def measure(self, round_folder: RoundFolder, incumbent: Checkpoint, model: str) -> None:
        """The incumbent on the round's sets; model: the name it is served under. The round's attacks must be over."""
        suites = self._suites(round_folder)
        if round_folder.incumbent_evaluation.exists() or not suites:
            return
        evaluator = self.plan.over(suites, False)
        with Journal(round_folder.incumbent_items, ItemResult) as items:

            async def note(item: ItemResult) -> None:
                items.append(item)
                self.observer.advance()

            with self._phase("evaluate incumbent", evaluator.total, items.count):
                found = await evaluator.evaluate(model, incumbent, done=items, on_item=note)
        write_json(round_folder.incumbent_evaluation, found)

    def _suites(self, round_folder: RoundFolder) -> list[Suite]:
        """Fresh and replayed attacks; none in round 0, where nothing was attacked."""
        if round_folder.number == 0:
            return []
        here = f"{round_folder.path.name}/{round_folder.exchanges.name}"
        fresh = fresh_suites(read_records(round_folder.exchanges, Exchange), self.plan.kept_out, here)
        before = f"exchanges before round {round_folder.number}"
        return fresh + replay_suites(self._earlier(round_folder), self.plan.options.replay, self.plan.seed, before)

    def _earlier(self, round_folder: RoundFolder) -> Iterator[Exchange]:
        """This round's successes are what the incumbent fails on and the candidate is taught: they join the next's."""
        for number in range(1, round_folder.number):
            yield from read_records(self.folder.round(number).exchanges, Exchange)
