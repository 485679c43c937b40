"""A few held-out prompts with the base model's replies and the promoted checkpoint's."""

from __future__ import annotations

from superalign.records.base import Record, SuiteKind
from superalign.records.evaluation import Evaluation, ItemResult
from superalign.store.journal import read_records
from superalign.store.round_folder import read_record
from superalign.store.run_folder import RunFolder


class BeforeAfter(Record):
    """A held-out prompt with the base model's reply and the promoted checkpoint's."""

    kind: SuiteKind
    prompt: str
    before: str
    after: str


def before_after(folder: RunFolder, per_kind: int = 1) -> list[BeforeAfter]:
    """Held-out prompts of each kind, harmful ones first, and what changed; [] while only the base is promoted."""
    current = folder.current()
    if current.adapter is None:
        return []
    number = int(current.id.rpartition("-")[2])
    kinds: dict[str, SuiteKind] = {}
    for suite in read_record(folder.round(number).evaluation_json, Evaluation).suites:
        kinds[suite.suite] = suite.kind
    before = {(item.suite, item.item): item for item in read_records(folder.round(0).evaluation_items, ItemResult)}
    chosen: dict[SuiteKind, list[BeforeAfter]] = {"harmful": [], "lookalike": [], "ordinary": []}
    for item in read_records(folder.round(number).evaluation_items, ItemResult):
        kind, old = kinds.get(item.suite), before.get((item.suite, item.item))
        if kind not in chosen or old is None or len(chosen[kind]) >= per_kind:
            continue
        if kind == "harmful" and (old.verdict.outcome, item.verdict.outcome) != ("complied", "refused"):
            continue
        prompt = item.prompt[-1].content
        chosen[kind].append(BeforeAfter(kind=kind, prompt=prompt, before=old.reply.text, after=item.reply.text))
    return [shown for rows in chosen.values() for shown in rows]
