"""What the base model says where the learner needlessly refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from superalign.loop.rollout import Roles, answer_once
from superalign.loop.round_log import RoundLog
from superalign.records.exchange import Anchor, Dropped, Exchange
from superalign.store.journal import Journal
from superalign.store.round_folder import RoundFolder


async def answer_as_base(
    roles: Callable[[], Awaitable[Roles]],
    needed: Callable[[], Iterator[Exchange]],
    round_folder: RoundFolder,
    log: RoundLog,
    at_once: int,
) -> None:
    """One answer to each exchange that needs one and has none yet, into `anchors.jsonl`.

    roles: serves the base model, and is called only when somebody has to be asked; at_once: answers under way.
    """
    total = sum(1 for _ in needed())
    with Journal(round_folder.anchors, Anchor) as anchors, Journal(round_folder.dropped, Dropped) as dropped:
        finished = {anchor.id for anchor in anchors}
        if len(finished) == total:
            return
        acting = await roles()

        async def answer(exchange: Exchange) -> None:
            answer, losses = await answer_once(acting, exchange.attack)
            for loss in losses:
                dropped.append(loss)
            anchors.append(Anchor(id=exchange.id, answer=answer))
            log.observer.advance()

        waiting = (exchange for exchange in needed() if exchange.id not in finished)
        await log.work_off(waiting, answer, at_once, ("anchor", total, len(finished)))
