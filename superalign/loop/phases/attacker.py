"""The attacker's part of a round: learn from the exchanges, be measured on held-out goals, be promoted or not.

Each step looks at what the round's folder holds, as in the orchestrator, so that a run that was killed repeats
nothing: examples (attacker_pairs.jsonl is written last), checkpoint, probes, decision.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import NamedTuple

from superalign.attacker.options import AttackerTraining
from superalign.attacker.training_data import Vectorise, compile_drafts, held_out
from superalign.errors import RunFolderError, TrainingError
from superalign.gate.attacker import AttackerFigures, Contender, Probe, decide_attacker, measure_attackers
from superalign.loop.rollout import Roles, play
from superalign.loop.round_log import RoundLog
from superalign.protocols import Attacker, InferencePool, Trainer
from superalign.records.evaluation import Promotion
from superalign.records.exchange import Exchange
from superalign.records.rollout import Rollout, Seed, rollout_of
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.store.atomic import sha256_adapter, write_json
from superalign.store.journal import Journal, Stored, read_records, write_records
from superalign.store.round_folder import RoundFolder, read_record
from superalign.store.run_folder import RunFolder

FIRST_PROBE = 1000
"""Index of a seed's first probe, far above those that a round plays: a probe is an attack of its own."""


class ServedAttacker(NamedTuple):
    """An attacker's checkpoint in its engine."""

    name: str
    trained: bool
    """Whether this run has trained it."""


@dataclass(frozen=True)
class AttackerPlan:
    """How the attacker is trained, with everything concrete already built."""

    options: AttackerTraining
    base: Checkpoint
    """What it starts from: the attacker's role as the recipe gives it, an adapter by its full path."""
    pool: InferencePool
    """The attacker's engine; perhaps the learner's as well."""
    trainer: Trainer
    goals: Sequence[Seed]
    """Harmful seeds that a written strategy can put into words."""
    attacker: Callable[[int, ServedAttacker], Attacker]
    """(round, its served attacker) -> who attacks in that round."""
    roles: Callable[[int, str, ServedAttacker], Roles]
    """(round, served learner, attacker) -> who acts in a probe: written strategies only, nothing revised."""
    vectorise: Vectorise
    max_rollouts: int = 256


class AttackerPhase:
    """The trained attacker of one run."""

    def __init__(self, plan: AttackerPlan, folder: RunFolder, log: RoundLog) -> None:
        """log: of the run, whose pool is the learner's; it gives way to training as the attacker's own does."""
        self.plan, self.folder, self.log = plan, folder, log
        self._pools = {id(pool): pool for pool in (log.pool, plan.pool)}.values()
        self._served: tuple[int, ServedAttacker] | None = None

    def incumbent(self, number: int) -> Checkpoint:
        """Who attacks in a round: the candidate promoted last before it, its adapter by its full path.

        Raises RunFolderError when that adapter is missing or altered.
        """
        for before in reversed(range(1, number)):
            round_folder = self.folder.round(before)
            if (
                round_folder.attacker_promotion.exists()
                and read_record(round_folder.attacker_promotion, Promotion).promoted
            ):
                return self._located(read_record(round_folder.attacker_checkpoint, Checkpoint))
        return self.plan.base

    async def attacker(self, number: int) -> Attacker:
        """Who attacks in a round, its model served; to be asked for after the learner is served."""
        return self.plan.attacker(number, await self.serve(number))

    async def serve(self, number: int) -> ServedAttacker:
        """The round's attacker, in its engine.

        Served once a round, after the learner: engines keep the three adapters that came last, and a probe needs
        learner, incumbent and candidate at once.
        """
        if self._served is None or self._served[0] != number:
            self._served = (number, await self._serve(self.incumbent(number)))
        return self._served[1]

    async def _serve(self, checkpoint: Checkpoint) -> ServedAttacker:
        return ServedAttacker(await self.plan.pool.serve(checkpoint), trained=checkpoint.id != self.plan.base.id)

    async def learn(self, round_folder: RoundFolder, serve_learner: Callable[[], Awaitable[str]]) -> Promotion:
        """Train a candidate on the round's exchanges, measure it against the frozen learner, decide.

        serve_learner: gives the name under which the round's learner is served.
        """
        if round_folder.attacker_promotion.exists():
            return read_record(round_folder.attacker_promotion, Promotion)
        if not round_folder.attacker_pairs.exists():
            await self._compile(round_folder)
        promotion = await self._decide(round_folder, serve_learner)
        write_json(round_folder.attacker_promotion, promotion)
        return promotion

    async def _decide(self, round_folder: RoundFolder, serve_learner: Callable[[], Awaitable[str]]) -> Promotion:
        options, incumbent = self.plan.options, self.incumbent(round_folder.number)
        demonstrations = Stored(round_folder.attacker_demonstrations, Demonstration)
        if len(demonstrations) < options.min_examples:
            reason = f"{len(demonstrations)} attacks to learn from, fewer than {options.min_examples}"
            return _kept(round_folder.number, incumbent, reason)
        if not self._rollouts(round_folder.number):
            return _kept(round_folder.number, incumbent, "no goal is held out to measure it on")
        try:
            candidate = await self._train(round_folder, incumbent, demonstrations)
        except TrainingError as error:
            self.log.observer.notice(f"round {round_folder.number}: the attacker's training gave no candidate: {error}")
            return _kept(round_folder.number, incumbent, f"training gave no candidate: {error}")
        await self._probe(round_folder, candidate, serve_learner)
        figures = await self.figures(round_folder)
        return decide_attacker(figures["candidate"], figures["incumbent"], options)

    async def _compile(self, round_folder: RoundFolder) -> None:
        exchanges = [e for e in read_records(round_folder.exchanges, Exchange) if e.attack.draft is not None]
        demonstrations, pairs = await asyncio.to_thread(
            compile_drafts, exchanges, self.plan.options, self.plan.vectorise
        )
        write_records(round_folder.attacker_demonstrations, demonstrations)
        write_records(round_folder.attacker_pairs, pairs)

    async def _train(
        self, round_folder: RoundFolder, incumbent: Checkpoint, demonstrations: Sequence[Demonstration]
    ) -> Checkpoint:
        if not round_folder.attacker_checkpoint.exists():
            pairs = Stored(round_folder.attacker_pairs, PreferencePair)
            with self.log.phase("train attacker"):
                async with AsyncExitStack() as stack:
                    for pool in self._pools:
                        await stack.enter_async_context(pool.paused())
                    trained = await self.plan.trainer.train(demonstrations, pairs, incumbent, round_folder.number)
            write_json(round_folder.attacker_checkpoint, trained)
        return self._located(read_record(round_folder.attacker_checkpoint, Checkpoint))

    async def _probe(
        self, round_folder: RoundFolder, candidate: Checkpoint, serve_learner: Callable[[], Awaitable[str]]
    ) -> None:
        """The same rollouts by both attackers, an exchange after the other written down as soon as it is there."""
        rollouts = self._rollouts(round_folder.number)
        with Journal(round_folder.attacker_probe, Probe) as probes:
            earlier: dict[tuple[Contender, str], list[Probe]] = {}
            for probe in probes:
                earlier.setdefault((probe.side, rollout_of(probe.id)), []).append(probe)
            learner = await serve_learner()
            sides: dict[Contender, ServedAttacker] = {"incumbent": await self.serve(round_folder.number)}
            sides["candidate"] = await self._serve(candidate)
            roles = {side: self.plan.roles(round_folder.number, learner, served) for side, served in sides.items()}

            async def play_on(job: tuple[Contender, Rollout]) -> None:
                side, rollout = job
                played = earlier.pop((side, rollout.id), [])
                history = [probe.exchange for probe in played if probe.exchange is not None]
                async for record in play(roles[side], rollout, history, len(history) < len(played)):
                    if isinstance(record, Exchange):
                        probes.append(Probe(side=side, id=record.id, exchange=record))
                    elif record.stage == "attack":
                        probes.append(Probe(side=side, id=record.record_id, reason=record.reason))
                self.log.observer.advance(0 if played else 1)

            jobs = [(side, rollout) for rollout in rollouts for side in sides]
            phase = ("probe attacker", len(jobs), len(earlier))
            await self.log.work_off(jobs, play_on, self.plan.max_rollouts, phase)

    async def figures(self, round_folder: RoundFolder) -> dict[Contender, AttackerFigures]:
        """Both sides of a round's probe; raises RunFolderError where the round has no candidate."""
        candidate = read_record(round_folder.attacker_checkpoint, Checkpoint)
        return await asyncio.to_thread(
            measure_attackers,
            {"candidate": candidate.id, "incumbent": self.incumbent(round_folder.number).id},
            self._rollouts(round_folder.number),
            read_records(round_folder.attacker_probe, Probe),
            self.plan.options,
            self.plan.vectorise,
        )

    def _rollouts(self, number: int) -> list[Rollout]:
        """The probe's rollouts on the held-out goals."""
        options = self.plan.options
        goals = [seed for seed in self.plan.goals if held_out(seed.id, options.holdout)]
        pairs = [(seed, FIRST_PROBE + index) for index in range(options.probes) for seed in goals]
        return [Rollout(round=number, seed=s, index=index, position=i) for i, (s, index) in enumerate(pairs)]

    def _located(self, checkpoint: Checkpoint) -> Checkpoint:
        located = self.folder.located(checkpoint)
        adapter = self.folder.path / str(checkpoint.adapter)
        if not adapter.is_dir() or checkpoint.sha256 not in (None, sha256_adapter(adapter)):
            raise RunFolderError(
                f"{adapter}: the adapter of {checkpoint.id} is missing or altered",
                f"restore it from a copy; `superalign verify {self.folder.path}` names everything that changed",
            )
        return located


def _kept(number: int, incumbent: Checkpoint, reason: str) -> Promotion:
    candidate = f"attacker-{number:03d}"
    return Promotion(
        candidate=candidate, incumbent=incumbent.id, promoted=False, reason=f"kept {incumbent.id}: {reason}"
    )
