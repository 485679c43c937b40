"""The loop, from top to bottom: play a round, learn from it, measure, decide, seal; then the next.

Every step first looks at what the run folder already holds, so a run that was killed goes on where it stood: a
finished exchange is never played again, a finished evaluation item never asked again, a trained adapter never
trained again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from superalign.analysis.attacks.records import AttackReport
from superalign.errors import TrainingError
from superalign.gate.decide import GateOptions
from superalign.loop.phases.attack_sets import AttackSets, SetsPlan
from superalign.loop.phases.attacker import AttackerLoop, AttackerPlan
from superalign.loop.phases.base_answers import anchor_round
from superalign.loop.phases.constitution_change import ValuesLoop, ValuesPlan
from superalign.loop.phases.deception_audit import AuditPlan, audit_round
from superalign.loop.phases.gate import decide_round, no_candidate
from superalign.loop.phases.human_review import ReviewLoop, ReviewPlan
from superalign.loop.phases.training_set import compile_examples
from superalign.loop.rollout import Roles, attack_round
from superalign.pairing.training_examples import PairingOptions, needs_anchor
from superalign.protocols import Evaluator, InferencePool, Observer, Trainer
from superalign.records.evaluation import Evaluation, ItemResult, Promotion
from superalign.records.exchange import Exchange
from superalign.records.rollout import Rollout
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.store.atomic import write_json
from superalign.store.events import Events
from superalign.store.journal import Journal, Stored, read_records, rewrite_sorted
from superalign.store.round_folder import RoundFolder, read_record, round_of
from superalign.store.run_folder import RunFolder


@dataclass(frozen=True)
class Plan:
    """What a run does, with everything concrete already built."""

    rounds: int
    rollouts: Callable[[int], Sequence[Rollout]]
    """round -> the rollouts it plays."""
    roles: Callable[[int, str], Roles]
    """(round, name of the served learner) -> who acts in that round."""
    experts: Sequence[Demonstration]
    base: Checkpoint
    pool: InferencePool
    """The learner's engine."""
    trainer: Trainer
    evaluator: Evaluator
    pairing: PairingOptions
    gate: GateOptions
    report: Callable[[RoundFolder], AttackReport]
    """What the attacks of a round came to."""
    audit: AuditPlan
    attacker: AttackerPlan | None = None
    """How the attacker is trained; None: it is not."""
    review: ReviewPlan | None = None
    """How people take part; None: they don't."""
    sets: SetsPlan | None = None
    """The attack sets of each round; None: candidates meet the recipe's suites alone."""
    values: ValuesPlan | None = None
    """What is measured of values, and how they change; None: nothing."""
    max_rollouts: int = 256
    """How many rollouts are under way at once; bounds memory, not throughput."""


class Loop:
    """One run of a plan in a run folder."""

    def __init__(self, plan: Plan, folder: RunFolder, observer: Observer) -> None:
        self.plan = plan
        self.folder = folder
        self.observer = observer
        self.events = Events(folder.events)
        self._round = 0
        self._served: tuple[str, str] | None = None
        self.attacker = AttackerLoop(plan.attacker, folder, plan.pool, observer, self._phase) if plan.attacker else None
        self.review = ReviewLoop(plan.review, folder, observer, self._phase) if plan.review else None
        self.sets = AttackSets(plan.sets, folder, observer, self._phase) if plan.sets else None
        self.values = ValuesLoop(plan.values, folder, observer, self._phase) if plan.values else None

    async def run(self) -> Checkpoint:
        """Play every round that is not sealed yet; returns the promoted checkpoint."""
        try:
            if self.folder.next_round == 0:
                await self._measure_base()
            for number in range(self.folder.next_round, self.plan.rounds + 1):
                await self._play_round(number)
            return self.folder.current()
        finally:
            self.events.close()

    async def _measure_base(self) -> None:
        self._round = 0
        round_folder = self.folder.round(0)
        await self._evaluate(round_folder, self.plan.base)
        if self.values is not None:
            await self.values.measure_base(round_folder, await self._serve(self.plan.base))
        self.folder.finish_round(0, candidate=self.plan.base)
        self.observer.round_done(0)

    async def _play_round(self, number: int) -> None:
        self._round = number
        round_folder, incumbent = self.folder.round(number), self.folder.incumbent(number)
        if self.values is not None:
            await self.values.begin(number)
        if self.review is not None:
            await self.review.teach(round_folder)
        if not round_folder.pairs.exists():
            await self.attack(round_folder, incumbent)
            if self.sets is not None:
                await self.sets.measure(round_folder, incumbent, await self._serve(incumbent))
            if self.review is not None:
                await self.review.ask(round_folder)
            if incumbent.adapter is not None:
                await self._anchor(round_folder)
            rewrite_sorted(round_folder.exchanges)  # what follows must not depend on who finished first
            write_json(round_folder.attack_json, self.plan.report(round_folder))
            if self.values is not None:
                await self.values.replay(round_folder)
            self._compile(round_folder, incumbent)
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

    async def _learn(self, round_folder: RoundFolder, incumbent: Checkpoint) -> tuple[Promotion, Checkpoint | None]:
        """Train, measure, decide; training that fails is a decision for the incumbent."""
        standing = await self._standing(round_folder, incumbent)
        try:
            candidate = await self._train(round_folder, incumbent)
        except TrainingError as error:
            promotion = no_candidate(round_folder.number, incumbent, error)
            self.observer.notice(f"round {round_folder.number}: {promotion.reason}")
            return promotion, None
        await self._evaluate(round_folder, candidate)
        with self._phase("audit", None):
            await audit_round(self.plan.audit, self.folder, round_folder, standing[1])
        decision = decide_round(self.folder, round_folder.number, self.plan.gate, *standing)
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

    async def attack(self, round_folder: RoundFolder, learner: Checkpoint) -> None:
        """Rollouts from every seed whose rollouts are not over yet."""
        self._round = round_folder.number
        roles, rollouts = (
            self.plan.roles(round_folder.number, await self._serve(learner)),
            self.plan.rollouts(round_folder.number),
        )
        if self.attacker is not None:
            roles = replace(roles, attacker=await self.attacker.attacker(round_folder.number))
        await attack_round(
            roles, rollouts, round_folder, self.observer, self.plan.max_rollouts, partial(self._phase, "attack")
        )

    async def _anchor(self, round_folder: RoundFolder) -> None:
        """The base model's answers to the benign attacks that the learner refused.

        Not during the rollouts: where the learner is served merged, the base has to be swapped in.
        """

        def needing() -> Iterator[Exchange]:
            return (e for e in self._exchanges(round_folder) if needs_anchor(e, self.plan.pairing))

        async def roles() -> Roles:
            return self.plan.roles(round_folder.number, await self._serve(self.plan.base))

        await anchor_round(
            roles, needing, round_folder, self.observer, self.plan.max_rollouts, partial(self._phase, "anchor")
        )

    def _compile(self, round_folder: RoundFolder, incumbent: Checkpoint) -> None:
        replayed = partial(self.values.replayed, round_folder) if self.values else lambda: iter(())
        exchanges, measured = partial(self._exchanges, round_folder), self._evaluation_of(incumbent)
        with self._phase("pair", None):
            compile_examples(round_folder, exchanges, replayed, self.plan.experts, self.plan.pairing, measured)

    def _exchanges(self, round_folder: RoundFolder) -> Iterator[Exchange]:
        """What is learned from: the critic's verdicts, or people's where there are."""
        played = (
            read_records(round_folder.exchanges, Exchange)
            if self.review is None
            else self.review.exchanges(round_folder)
        )
        return played if self.sets is None else filter(self.sets.trained_on, played)

    async def _train(self, round_folder: RoundFolder, incumbent: Checkpoint) -> Checkpoint:
        if round_folder.checkpoint_json.exists():
            return self.folder.checkpoint(round_folder.number)
        demonstrations = Stored(round_folder.demonstrations, Demonstration)
        pairs = Stored(round_folder.pairs, PreferencePair)
        with self._phase("train", None):
            async with self.plan.pool.paused():
                parent = incumbent if self.values is None else self.values.parent(round_folder.number, incumbent)
                parent = self.folder.located(parent)
                trained = await self.plan.trainer.train(demonstrations, pairs, parent, round_folder.number)
        return self.folder.write_candidate(round_folder.number, trained)

    async def _evaluate(self, round_folder: RoundFolder, checkpoint: Checkpoint) -> Evaluation:
        evaluator = self.plan.evaluator if self.sets is None else self.sets.evaluator(round_folder)
        return await self._measure(evaluator, checkpoint, round_folder.evaluation_items, round_folder.evaluation_json)

    async def _measure(self, evaluator: Evaluator, checkpoint: Checkpoint, journal: Path, result: Path) -> Evaluation:
        if result.exists():
            return read_record(result, Evaluation)
        name = await self._serve(checkpoint)
        with Journal(journal, ItemResult) as items:

            async def note(item: ItemResult) -> None:
                items.append(item)
                self.observer.advance()

            with self._phase("evaluate", evaluator.total, items.count):
                evaluation = await evaluator.evaluate(name, checkpoint, done=items, on_item=note)
        write_json(result, evaluation)
        return evaluation

    async def _serve(self, checkpoint: Checkpoint) -> str:
        if self._served is None or self._served[0] != checkpoint.id:
            with self._phase("serve", None):
                name = await self.plan.pool.serve(self.folder.located(checkpoint))
            self._served = (checkpoint.id, name)
        return self._served[1]

    def _evaluation_of(self, checkpoint: Checkpoint) -> Evaluation:
        return read_record(self.folder.round(round_of(checkpoint)).evaluation_json, Evaluation)

    @contextmanager
    def _phase(self, name: str, total: int | None, done: int = 0) -> Iterator[None]:
        """Tell the observer, and note seconds and tokens in `events.jsonl`."""
        started, tokens = time.monotonic(), self.plan.pool.stats().generated_tokens
        self.observer.phase(self._round, name, total, done)
        yield
        seconds = round(time.monotonic() - started, 3)
        tokens = self.plan.pool.stats().generated_tokens - tokens
        self.events.append("phase", round=self._round, name=name, seconds=seconds, tokens=tokens, units=total)
        self.observer.phase_done(seconds, tokens)
