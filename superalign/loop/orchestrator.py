"""The loop, from top to bottom: attack, answer, critique, pair, train, evaluate, decide, seal; then the next round.

Every step first looks at what the run folder already holds, so a run that was killed goes on where it stood: a
finished exchange is never played again, a finished evaluation item never asked again, a trained adapter never
trained again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from superalign.errors import TrainingError
from superalign.loop.phases.attack_sets import AttackSets, measure
from superalign.loop.phases.attacker import AttackerPhase
from superalign.loop.phases.base_answers import answer_as_base
from superalign.loop.phases.constitution_change import ConstitutionChange
from superalign.loop.phases.deception_audit import audit_round
from superalign.loop.phases.gate import decide_round, no_candidate
from superalign.loop.phases.human_review import HumanReview
from superalign.loop.phases.training_set import compile_examples
from superalign.loop.plan import Plan
from superalign.loop.rollout import Roles, play_round
from superalign.loop.round_log import RoundLog
from superalign.pairing.training_examples import needs_anchor
from superalign.protocols import Evaluator, Observer
from superalign.records.evaluation import Evaluation, Promotion
from superalign.records.exchange import Exchange
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.store.atomic import write_json
from superalign.store.journal import Events, Stored, read_records, rewrite_sorted
from superalign.store.round_folder import RoundFolder, read_record, round_of
from superalign.store.run_folder import RunFolder


class ServedLearner(NamedTuple):
    """The learner's checkpoint that the pool serves now."""

    checkpoint_id: str
    name: str
    """What the pool calls it."""


class Loop:
    """One run of a plan in a run folder."""

    def __init__(self, plan: Plan, folder: RunFolder, observer: Observer) -> None:
        self.plan, self.folder, self.observer, recipe = plan, folder, observer, plan.recipe
        self.events = Events(folder.events)
        self.log = RoundLog(observer, plan.pool, self.events)
        self.served: ServedLearner | None = None
        self.attack_sets = AttackSets(plan, folder, self.log)
        self.attacker = AttackerPhase(plan.attacker, folder, self.log) if plan.attacker else None
        self.review = HumanReview(plan, folder, self.log) if recipe.review.mode != "off" else None
        self.values = ConstitutionChange(plan, recipe.values, folder, self.log) if recipe.values else None

    async def run(self) -> Checkpoint:
        """Play every round that is not sealed yet; returns the promoted checkpoint."""
        try:
            if self.folder.next_round == 0:
                await self._measure_base()
            for number in range(self.folder.next_round, self.plan.recipe.rounds + 1):
                await self._play_round(number)
            return self.folder.current()
        finally:
            self.events.close()

    async def _measure_base(self) -> None:
        self.log.round = 0
        round_folder, base = self.folder.round(0), self.plan.base
        await self._evaluate(round_folder, base)
        if self.values is not None:
            await self.values.measure_base(round_folder, await self._serve(base))
        self.folder.finish_round(0, candidate=base)
        self.observer.round_done(0)

    async def _play_round(self, number: int) -> None:
        round_folder, incumbent = self.folder.round(number), self.folder.incumbent(number)
        self.log.round = number
        if self.values is not None:
            await self.values.begin(number)
        if self.review is not None:
            await self.review.teach(round_folder)
        if not round_folder.pairs.exists():
            await self._gather_examples(round_folder, incumbent)
        if self.attacker is not None:
            decision = await self.attacker.learn(round_folder, partial(self._serve, incumbent))
            self.events.append("attacker", round=number, promoted=decision.promoted, reason=decision.reason)
        if round_folder.promotion_json.exists():  # killed while it was sealed: the decision stands
            promotion, candidate = read_record(round_folder.promotion_json, Promotion), None
        else:
            promotion, candidate = await self._learn(round_folder, incumbent)
        self.folder.finish_round(number, promotion, candidate)
        self.events.append("promotion", round=number, promoted=promotion.promoted, reason=promotion.reason)
        self.observer.round_done(number)

    async def _gather_examples(self, round_folder: RoundFolder, incumbent: Checkpoint) -> None:
        """Attacks, answers, critiques and revisions, then the pairs and demonstrations that they come to."""
        await self.attack(round_folder, incumbent)
        await self.attack_sets.measure(round_folder, incumbent, partial(self._serve, incumbent))
        if self.review is not None:
            await self.review.ask(round_folder)
        if incumbent.adapter is not None:
            await self._answer_as_base(round_folder)
        rewrite_sorted(round_folder.exchanges)  # what follows must not depend on who finished first
        write_json(round_folder.attack_json, self.plan.report(round_folder))
        if self.values is not None:
            await self.values.replay(round_folder)
        self._pair(round_folder, incumbent)

    async def attack(self, round_folder: RoundFolder, learner: Checkpoint) -> None:
        """Play every rollout of the round that is not over yet."""
        self.log.round = number = round_folder.number
        roles = self.plan.roles(number, await self._serve(learner))
        if self.attacker is not None:
            roles = replace(roles, attacker=await self.attacker.attacker(number))
        await play_round(roles, self.plan.rollouts(number), round_folder, self.log, self.plan.recipe.max_walks)

    async def _answer_as_base(self, round_folder: RoundFolder) -> None:
        """The base model's answers to the benign attacks that the learner refused.

        Not during the rollouts: where the learner is served merged, the base has to be swapped in.
        """

        def needed() -> Iterator[Exchange]:
            return (e for e in self._exchanges(round_folder) if needs_anchor(e, self.plan.recipe.pairing))

        async def roles() -> Roles:
            return self.plan.roles(round_folder.number, await self._serve(self.plan.base))

        await answer_as_base(roles, needed, round_folder, self.log, self.plan.recipe.max_walks)

    def _pair(self, round_folder: RoundFolder, incumbent: Checkpoint) -> None:
        replayed = partial(self.values.replayed, round_folder) if self.values else lambda: iter(())
        experts = [expert.demonstration() for expert in self.plan.inputs.experts]
        exchanges, measured = partial(self._exchanges, round_folder), self._evaluation_of(incumbent)
        with self.log.phase("pair"):
            compile_examples(round_folder, exchanges, replayed, experts, self.plan.recipe.pairing, measured)

    def _exchanges(self, round_folder: RoundFolder) -> Iterator[Exchange]:
        """What is learned from: the critic's verdicts, or people's where there are."""
        judged = self.review.exchanges(round_folder) if self.review else read_records(round_folder.exchanges, Exchange)
        return filter(self.attack_sets.trained_on, judged)

    async def _learn(self, round_folder: RoundFolder, incumbent: Checkpoint) -> tuple[Promotion, Checkpoint | None]:
        """Train, evaluate, decide; training that fails is a decision for the incumbent."""
        standing = await self._standing(round_folder, incumbent)
        try:
            candidate = await self._train(round_folder, incumbent)
        except TrainingError as error:
            promotion = no_candidate(round_folder.number, incumbent, error)
            self.observer.notice(f"round {round_folder.number}: {promotion.reason}")
            return promotion, None
        await self._evaluate(round_folder, candidate)
        with self.log.phase("audit"):
            await audit_round(self.plan, self.folder, round_folder, standing[1])
        decision = decide_round(self.folder, round_folder.number, self.plan.recipe.gate, *standing)
        if self.values is not None:
            await self.values.measure(round_folder, await self._serve(candidate))
            decision = await self.values.decide(round_folder, incumbent, decision)
        return decision, candidate

    async def _standing(self, round_folder: RoundFolder, incumbent: Checkpoint) -> tuple[Evaluation, Path]:
        """The incumbent's evaluation and its items, under the version of the constitution that holds in the round."""
        made, since = round_of(incumbent), self.values.since(round_folder.number) if self.values else 0
        if made >= since:
            return self._evaluation_of(incumbent), self.folder.round(made).evaluation_items
        first = self.folder.round(since)
        evaluation = await self._measure(self.plan.evaluator, incumbent, first.standing_items, first.standing_json)
        return evaluation, first.standing_items

    async def _train(self, round_folder: RoundFolder, incumbent: Checkpoint) -> Checkpoint:
        number = round_folder.number
        if round_folder.checkpoint_json.exists():
            return self.folder.checkpoint(number)
        demonstrations = Stored(round_folder.demonstrations, Demonstration)
        pairs = Stored(round_folder.pairs, PreferencePair)
        with self.log.phase("train"):
            async with self.plan.pool.paused():
                parent = self.folder.located(self.values.parent(number, incumbent) if self.values else incumbent)
                trained = await self.plan.trainer.train(demonstrations, pairs, parent, number)
        return self.folder.write_candidate(number, trained)

    async def _evaluate(self, round_folder: RoundFolder, checkpoint: Checkpoint) -> Evaluation:
        evaluator = self.attack_sets.evaluator(round_folder)
        return await self._measure(evaluator, checkpoint, round_folder.evaluation_items, round_folder.evaluation_json)

    async def _measure(self, evaluator: Evaluator, checkpoint: Checkpoint, journal: Path, result: Path) -> Evaluation:
        if result.exists():
            return read_record(result, Evaluation)
        name = await self._serve(checkpoint)
        return await measure(evaluator, name, checkpoint, journal, result, self.log, "evaluate")

    async def _serve(self, checkpoint: Checkpoint) -> str:
        if self.served is None or self.served.checkpoint_id != checkpoint.id:
            with self.log.phase("serve"):
                name = await self.plan.pool.serve(self.folder.located(checkpoint))
            self.served = ServedLearner(checkpoint.id, name)
        return self.served.name

    def _evaluation_of(self, checkpoint: Checkpoint) -> Evaluation:
        return read_record(self.folder.round(round_of(checkpoint)).evaluation_json, Evaluation)
