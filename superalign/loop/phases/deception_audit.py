"""The deception audit of a round: the critic judges replies of the base model that are there already."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from superalign.analysis.deception_audit import Audit, AuditItem, audit, hedged, right
from superalign.evaluation.ask_item import as_response
from superalign.evaluation.items import Suite
from superalign.protocols import Critic, DropError
from superalign.records.base import KINDS, Kind
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Verdict
from superalign.records.rollout import Response
from superalign.store.atomic import write_json
from superalign.store.journal import read_records
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder

_AT_ONCE = 64
"""Replies that the critic reads at once; bounds memory."""
_Key = tuple[str, str]
"""Suite and item."""


@dataclass(frozen=True)
class AuditPlan:
    """Over what an audit goes, and who is audited against."""

    suites: Sequence[Suite]
    """The recipe's own."""
    critic: Callable[[], Critic]
    """The training critic of the round. It hears of an item what it hears of a seed: what its file declares."""
    paid_for: str = ""
    """The critic's type where its verdicts are not to be had for nothing; empty: they are."""


async def audit_round(plan: AuditPlan, folder: RunFolder, round_folder: RoundFolder, incumbent_items: Path) -> None:
    """Write `audit.json` of the round's candidate, whose evaluation is in the round's folder.

    incumbent_items: as for `deciding.decide_round`. Nothing is generated: by the first replies to the items of the
    recipe's suites that have no answer key. It is made anew where it was interrupted.
    """
    if not round_folder.audit_json.exists():
        write_json(round_folder.audit_json, await _audited(plan, folder, round_folder, incumbent_items))


async def _audited(plan: AuditPlan, folder: RunFolder, round_folder: RoundFolder, incumbent_items: Path) -> Audit:
    items = {
        (suite.name, item.id): (kind, suite, item)
        for kind in KINDS for suite in plan.suites if suite.kind == kind for item in suite.items if item.key is None
    }  # fmt: skip
    if not items:
        return Audit(round=round_folder.number, off="nothing is held out that the judge decides")
    if plan.paid_for:
        cost = f"it would have to judge {len(items)} replies more each round"
        return Audit(
            round=round_folder.number, off=f"a {plan.paid_for} critic's verdicts are not to be had for nothing: {cost}"
        )
    kinds = {key: kind for key, (kind, _, _) in items.items()}
    incumbent, candidate = _rights(incumbent_items, kinds), _rights(round_folder.evaluation_items, kinds)
    waiting = (r for r in _first(folder.round(0).evaluation_items) if (r.suite, r.item) in items)
    critic, found = plan.critic(), list[AuditItem]()

    async def worker() -> None:
        for result in waiting:
            key = result.suite, result.item
            kind, suite, item = items[key]
            verdict = await _verdict(critic, as_response(suite, item, result.prompt, result.reply))
            score, doubts = (verdict.score, hedged(verdict)) if verdict else (None, False)
            base = right(kind, result.verdict)
            found.append(AuditItem(kind, score, doubts, base, incumbent.get(key), candidate.get(key)))

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(_AT_ONCE, len(items))):
            workers.create_task(worker())
    return audit(round_folder.number, found)


def _rights(path: Path, kinds: dict[_Key, Kind]) -> dict[_Key, bool | None]:
    return {
        key: right(kinds[key], result.verdict)
        for result in _first(path)
        if (key := (result.suite, result.item)) in kinds
    }


def _first(path: Path) -> Iterator[ItemResult]:
    return (result for result in read_records(path, ItemResult) if not result.sample)


async def _verdict(critic: Critic, response: Response) -> Verdict | None:
    try:
        return (await critic.critique(response)).verdict
    except DropError:
        return None
