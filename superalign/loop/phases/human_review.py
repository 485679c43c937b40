"""People in the loop: a round begins with what they taught, asks them what is worth it, and heeds what they say.

What a round took from `labels.jsonl` is written into its folder first, so that a killed round goes on with the same
labels whatever has been said since, and so that its examples can be made again from its own files.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from superalign.critic.options import ProbeOptions, within
from superalign.loop.plan import Plan
from superalign.loop.round_log import RoundLog
from superalign.records.exchange import Exchange
from superalign.records.rollout import user_text
from superalign.review.label_value import QueueItem, is_held_out, rank
from superalign.review.labels import Item, Label, LabelJournal, ProbeExample, apply_labels, judged, lessons, standing
from superalign.review.queue import held_out_prompts
from superalign.store.journal import read_records, write_records
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder

_POLL_S = 1.0


class HumanReview:
    """The people's part of each round."""

    def __init__(self, plan: Plan, folder: RunFolder, log: RoundLog) -> None:
        self.plan, self.folder, self.log, self.options = plan, folder, log, plan.recipe.review
        self.book = LabelJournal(folder.path)
        self.critic_learns = any(isinstance(options, ProbeOptions) for options in within(plan.recipe.critic))

    async def teach(self, round_folder: RoundFolder) -> None:
        """Let the critic learn from every label of earlier rounds."""
        if not self.critic_learns:
            return
        if not round_folder.taught.exists():
            write_records(round_folder.taught, self._lessons(round_folder.number))
        taught = list(read_records(round_folder.taught, ProbeExample))
        if taught:
            self.log.observer.notice(
                f"round {round_folder.number}: the critic has {len(taught)} labelled answers to learn from"
            )
            await self.plan.teach(taught)

    async def ask(self, round_folder: RoundFolder) -> None:
        """Fix the round's queue, wait for it where the recipe says so, and fix the labels."""
        if round_folder.labels.exists():
            return
        if not round_folder.queue.exists():
            write_records(round_folder.queue, await asyncio.to_thread(self._rank, round_folder))
        if self.options.mode == "block":
            await self._wait(round_folder)
        prefix = f"r{round_folder.number:03d}/"
        labels = standing(self.book.read())
        kept = [label for item in sorted(labels) if item[0].startswith(prefix) for label in labels[item].values()]
        write_records(round_folder.labels, kept)

    def exchanges(self, round_folder: RoundFolder) -> Iterator[Exchange]:
        """The round's exchanges with people's verdicts in place of the critic's."""
        labels = judged(standing(read_records(round_folder.labels, Label)))
        held_out = held_out_prompts(self.folder) if labels else frozenset()
        for exchange in read_records(round_folder.exchanges, Exchange):
            judged_answers = labels.get(exchange.id)
            yield (
                apply_labels(exchange, judged_answers)
                if judged_answers and not is_held_out(exchange, held_out)
                else exchange
            )

    def _rank(self, round_folder: RoundFolder) -> list[QueueItem]:
        """Labels of earlier rounds make a like request less worth asking about."""
        known = [user_text(taught.prompt) for taught in read_records(round_folder.taught, ProbeExample)]
        return rank(
            read_records(round_folder.exchanges, Exchange),
            self.options.per_round,
            self.plan.recipe.pairing,
            known=known,
            held_out=held_out_prompts(self.folder),
            embed=self.plan.embed,
        )

    def _lessons(self, number: int) -> Iterator[ProbeExample]:
        labels, held_out = judged(standing(self.book.read())), held_out_prompts(self.folder)
        for earlier in range(1, number):
            for exchange in read_records(self.folder.round(earlier).exchanges, Exchange):
                if exchange.id in labels and not is_held_out(exchange, held_out):
                    yield from lessons(exchange, labels[exchange.id])

    async def _wait(self, round_folder: RoundFolder) -> None:
        """Until every item of the queue is judged or skipped by somebody."""
        queue: list[Item] = [(item.exchange, item.answer) for item in read_records(round_folder.queue, QueueItem)]
        left = self._left(queue)
        if not left:
            return
        command = f"superalign review {self.folder.path}"
        self.log.observer.notice(
            f"round {round_folder.number} waits for labels of {left} of {len(queue)} answers: "
            f"`{command}` in another terminal; Ctrl-C stops here and `superalign resume` waits on"
        )
        with self.log.phase("review", len(queue), len(queue) - left):
            while left:
                await asyncio.sleep(_POLL_S)
                now_left = self._left(queue)
                self.log.observer.advance(max(0, left - now_left))
                left = now_left

    def _left(self, queue: Sequence[Item]) -> int:
        labels = standing(self.book.read())
        return sum(item not in labels for item in queue)
