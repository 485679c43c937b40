"""One model's replies held against another's: under its weights, and side by side before a judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from superalign.evaluation.evaluator import MAX_REQUESTS, as_response
from superalign.evaluation.items import Suite
from superalign.evaluation.paired_comparison import AgainstItem
from superalign.protocols import Comparer, DropError, InferencePool
from superalign.records.evaluation import ItemResult
from superalign.store.journal import Journal, read_records

COMPARED = ("lookalike", "ordinary")
"""Kinds of suites where the more helpful of two replies is asked for."""


class Against:
    """What is left to do of one model against the reference; replies are read from disk as they are needed."""

    def __init__(
        self, suites: Sequence[Suite], theirs: Path, ours: Path, target: Path, comparer: Comparer | None
    ) -> None:
        """theirs, ours: sorted files of replies; target: what comes of it."""
        self._items = {(suite.name, item.id): (suite, item) for suite in suites for item in suite.items}
        self._theirs, self._ours, self._target, self._comparer = theirs, ours, target, comparer
        self._done = {(found.suite, found.item, found.sample) for found in read_records(target, AgainstItem)}
        self.total = sum(1 for _ in self._waiting())
        """Replies that are left."""

    async def run(self, pool: InferencePool, model: str | None, reference: str, advance: Callable[[], None]) -> None:
        """Score and compare all that is left; model: None where the bases differ, so that nothing can be scored."""
        waiting = self._waiting()
        with Journal(self._target, AgainstItem) as journal:

            async def worker() -> None:
                for ours, theirs in waiting:
                    journal.append(await self._held(pool, model, reference, ours, theirs))
                    advance()

            async with asyncio.TaskGroup() as workers:
                for _ in range(min(MAX_REQUESTS, self.total)):
                    workers.create_task(worker())

    def _waiting(self) -> Iterator[tuple[ItemResult, ItemResult | None]]:
        """Both files are in the same order, so that one line of each is in memory."""
        others = read_records(self._theirs, ItemResult)
        other = next(others, None)
        for ours in read_records(self._ours, ItemResult):
            while other is not None and _place(other) < _place(ours):
                other = next(others, None)
            if (ours.suite, ours.item, ours.sample) not in self._done:
                yield ours, other if other is not None and _place(other) == _place(ours) else None

    async def _held(
        self, pool: InferencePool, model: str | None, reference: str, ours: ItemResult, theirs: ItemResult | None
    ) -> AgainstItem:
        tokens = logprob = other = None
        if model is not None and ours.reply.text:
            end = ours.reply.complete
            own, base = await asyncio.gather(
                *(pool.score(name, ours.prompt, ours.reply.text, end=end) for name in (model, reference))
            )
            tokens, logprob, other = len(own.token_logprobs), own.total, base.total
        win, why = await self._win(ours, theirs)
        return AgainstItem(
            suite=ours.suite, item=ours.item, sample=ours.sample, tokens=tokens, logprob=logprob,
            reference_logprob=other, win=win, why=why,
        )  # fmt: skip

    async def _win(self, ours: ItemResult, theirs: ItemResult | None) -> tuple[float | None, str]:
        """How far ours is better, or why the judge does not say so."""
        suite, item = self._items[ours.suite, ours.item]
        if self._comparer is None or theirs is None or suite.kind not in COMPARED or ours.prompt != theirs.prompt:
            return None, ""
        a, b = (as_response(suite, item, one.prompt, one.reply, k) for k, one in enumerate((ours, theirs)))
        try:
            return await self._comparer.compare(a, b), ""
        except DropError as error:
            return None, str(error)


def _place(result: ItemResult) -> tuple[str, str, int]:
    return result.suite, result.item, result.sample
