"""What the base model says where the learner needlessly refused."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager

from superalign.loop.rollout import Roles, answer_once
from superalign.protocols import Observer
from superalign.records.exchange import Anchor, Dropped, Exchange
from superalign.store.journal import Journal
from superalign.store.round_folder import RoundFolder


async def anchor_round(
    roles: Callable[[], Awaitable[Roles]],
    needing: Callable[[], Iterator[Exchange]],
    round_folder: RoundFolder,
    observer: Observer,
    max_rollouts: int,
    phase: Callable[[int, int], AbstractContextManager[None]],
) -> None:
    """One answer to each exchange that needs one and has none yet, into `anchors.jsonl`.

    roles: serves the base model, only when somebody has to be asked; phase: (answers in all, those there before) -> the
    block in which they are given.
    """
    total = sum(1 for _ in needing())
    with Journal(round_folder.anchors, Anchor) as anchors, Journal(round_folder.dropped, Dropped) as dropped:
        finished = {anchor.id for anchor in anchors}
        if len(finished) == total:
            return
        acting = await roles()
        waiting = (exchange for exchange in needing() if exchange.id not in finished)

        async def worker() -> None:
            for exchange in waiting:
                answer, losses = await answer_once(acting, exchange.attack)
                for loss in losses:
                    dropped.append(loss)
                anchors.append(Anchor(id=exchange.id, answer=answer))
                observer.advance()

        with phase(total, len(finished)):
            async with asyncio.TaskGroup() as workers:
                for _ in range(min(max_rollouts, total - len(finished))):
                    workers.create_task(worker())
