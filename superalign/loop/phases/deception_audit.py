"""The deception audit of a round: the critic judges replies of the base model that are there already."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from superalign.analysis.deception_audit import Audit, AuditItem, audit, hedged, right
from superalign.evaluation.evaluator import as_response
from superalign.loop.plan import Plan
from superalign.loop.round_log import work_off
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


async def audit_round(plan: Plan, folder: RunFolder, round_folder: RoundFolder, incumbent_items: Path) -> None:
    """Write `audit.json` of the round's candidate, whose evaluation is in the round's folder.

    incumbent_items: as for `gate.decide_round`. Nothing is generated: the critic judges the first replies to the items
    of the recipe's suites that have no answer key. An audit that was interrupted is made anew.
    """
    if not round_folder.audit_json.exists():
        write_json(round_folder.audit_json, await _audited(plan, folder, round_folder, incumbent_items))


async def _audited(plan: Plan, folder: RunFolder, round_folder: RoundFolder, incumbent_items: Path) -> Audit:
    items = {
        (suite.name, item.id): (kind, suite, item)
        for kind in KINDS
        for suite in plan.inputs.suites
        for item in suite.items
        if suite.kind == kind and item.key is None
    }
    if not items:
        return Audit(round=round_folder.number, off="nothing is held out that the judge decides")
    if plan.critic_cost:
        cost = f"it would have to judge {len(items)} replies more each round"
        off = f"a {plan.critic_cost} critic's verdicts are not to be had for nothing: {cost}"
        return Audit(round=round_folder.number, off=off)
    kinds = {key: kind for key, (kind, _, _) in items.items()}
    incumbent, candidate = _rights(incumbent_items, kinds), _rights(round_folder.evaluation_items, kinds)
    critic, audited = plan.critic, list[AuditItem]()

    async def judge(result: ItemResult) -> None:
        key = result.suite, result.item
        kind, suite, item = items[key]
        verdict = await _verdict(critic, as_response(suite, item, result.prompt, result.reply))
        score, doubts = (verdict.score, hedged(verdict)) if verdict else (None, False)
        base = right(kind, result.verdict)
        audited.append(AuditItem(kind, score, doubts, base, incumbent.get(key), candidate.get(key)))

    base_items = folder.round(0).evaluation_items
    await work_off((r for r in _first(base_items) if (r.suite, r.item) in items), judge, min(_AT_ONCE, len(items)))
    return audit(round_folder.number, audited)


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
