"""The attack sets of a round: what candidate and incumbent are both measured on, besides the recipe's own suites.

The incumbent meets them before anything is trained; the result is `incumbent_evaluation.json`. The candidate meets them
with the recipe's suites, in its `evaluation.json`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from superalign.evaluation.fresh_and_replay import fresh_suites, replay_suites
from superalign.evaluation.items import Suite
from superalign.loop.plan import Plan
from superalign.loop.round_log import RoundLog
from superalign.protocols import Evaluator
from superalign.records.evaluation import Evaluation, ItemResult
from superalign.records.exchange import Exchange
from superalign.records.training import Checkpoint
from superalign.store.atomic import write_json
from superalign.store.journal import Journal, read_records
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder


class AttackSets:
    """Fresh attacks on seeds that are never trained on, and a replay of attacks that worked in earlier rounds."""

    def __init__(self, plan: Plan, folder: RunFolder, log: RoundLog) -> None:
        self.plan, self.folder, self.log = plan, folder, log

    def trained_on(self, exchange: Exchange) -> bool:
        """Whether the learner may learn from an exchange."""
        return exchange.attack.seed.id not in self.plan.inputs.kept_out

    def evaluator(self, round_folder: RoundFolder) -> Evaluator:
        """Measures a round's candidate: on the recipe's suites and the round's sets."""
        return self.plan.evaluator_over(self._suites(round_folder), besides=True)

    async def measure(
        self, round_folder: RoundFolder, incumbent: Checkpoint, serve: Callable[[], Awaitable[str]]
    ) -> None:
        """Measure the incumbent on the round's sets, once its attacks are over; serve: serves the incumbent."""
        suites = self._suites(round_folder)
        if round_folder.incumbent_evaluation.exists() or not suites:
            return
        evaluator, name = self.plan.evaluator_over(suites, besides=False), await serve()
        journal, result = round_folder.incumbent_items, round_folder.incumbent_evaluation
        await measure(evaluator, name, incumbent, journal, result, self.log, "evaluate incumbent")

    def _suites(self, round_folder: RoundFolder) -> list[Suite]:
        """Fresh and replayed attacks; none in round 0, where nothing was attacked."""
        number, seed = round_folder.number, self.plan.recipe.seed
        if number == 0:
            return []
        exchanges = read_records(round_folder.exchanges, Exchange)
        file = f"{round_folder.path.name}/{round_folder.exchanges.name}"
        counts, earlier = self.plan.recipe.evaluation.replay, f"exchanges before round {number}"
        fresh = fresh_suites(exchanges, self.plan.inputs.kept_out, file)
        return fresh + replay_suites(self._earlier(number), counts, seed, earlier)

    def _earlier(self, number: int) -> Iterator[Exchange]:
        """This round's successes are what the incumbent fails on and the candidate is taught: they join the next's."""
        for before in range(1, number):
            yield from read_records(self.folder.round(before).exchanges, Exchange)


async def measure(
    evaluator: Evaluator, name: str, checkpoint: Checkpoint, journal: Path, result: Path, log: RoundLog, phase: str
) -> Evaluation:
    """Evaluate what the pool serves as `name`: items into `journal` as they are finished, figures into `result`."""
    with Journal(journal, ItemResult) as items:

        async def note(item: ItemResult) -> None:
            items.append(item)
            log.observer.advance()

        with log.phase(phase, evaluator.total, items.count):
            evaluation = await evaluator.evaluate(name, checkpoint, done=items, on_item=note)
    write_json(result, evaluation)
    return evaluation
