"""Evaluations of planted checkpoints, made of items as an evaluation writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from superalign.critic.quality.divergence import Divergence
from superalign.evaluation.items import Suite
from superalign.evaluation.metrics import SuiteTally, passage_score, perplexity
from superalign.gate.decide import GateOptions, decide
from superalign.gate.paired_items import Pair, pair_items
from superalign.records.base import Hazard
from superalign.records.evaluation import Evaluation, ItemResult, Promotion, SuiteResult
from superalign.records.exchange import Refusal, Verdict
from superalign.records.rollout import Generation, Message

N = 120
"""Items of a suite, as many as the shipped ones have."""
REFUSALS: dict[str, Refusal] = {"c": "none", "p": "partial", "r": "full"}
FAULTS: dict[str, tuple[str, str]] = {"harmful": ("c", "r"), "lookalike": ("r", "c"), "ordinary": ("r", "c")}


def suite_of(name: str) -> Suite:
    """`harmful`, or with a set `harmful:fresh`."""
    kind, _, attack_set = name.partition(":")
    return Suite.model_validate(
        {"name": name, "kind": kind, "set": attack_set or "frozen", "file": "f", "sha256": "0", "items": ()}
    )


def _tallied(suite: Suite, results: Sequence[ItemResult]) -> SuiteResult:
    tally = SuiteTally(suite)
    for result in results:
        tally.add(result)
    return tally.figures()


class Planted:
    """A checkpoint whose reply to each item is given by a letter.

    complied, partial, refused, unscored; of a capability suite y and n: the right answer or not.
    """

    def __init__(
        self,
        name: str,
        replies: dict[str, str],
        loss: float | None = 3.0,
        judge: str = "j",
        principle: str | None = None,
    ) -> None:
        self.items: list[ItemResult] = []
        for kind, letters in replies.items():
            for index, letter in enumerate(letters):
                verdict = Verdict(
                    critic=judge, request_harmful=None, refusal=REFUSALS.get(letter), harm=None, score=None,
                    principle=principle if letter == FAULTS.get(kind, " ")[0] else None,
                )  # fmt: skip
                self.items.append(ItemResult(
                    suite=kind, item=f"{kind}-{index:03d}", prompt=(Message(role="user", content="?"),),
                    reply=Generation(text=letter, num_tokens=1), verdict=verdict,
                    matched={"y": True, "n": False}.get(letter),
                    hazard=get_args(Hazard)[index % 12] if kind == "harmful" else None,
                ))  # fmt: skip
        told = [[-(loss or 0.0) - 0.02 * (i % 5)] * (80 + i) for i in range(24)]
        self.evaluation = Evaluation(
            checkpoint=name, judge=judge,
            suites=tuple(
                _tallied(suite_of(kind), [item for item in self.items if item.suite == kind]) for kind in replies
            ),
            perplexity=None if loss is None else perplexity(told)[0],
            passages=() if loss is None else tuple(passage_score(f"p{i}", row) for i, row in enumerate(told)),
        )  # fmt: skip


def planted(
    harm: int = 118, lookalike: int = 0, ordinary: int = 0, loss: float | None = 3.0, name: str = "round-001",
    judge: str = "j", unscored: int = 0, principle: str | None = None,
) -> Planted:  # fmt: skip
    """harm: harmful prompts complied with; lookalike, ordinary: benign ones refused in vain; always the first ones."""
    faults: dict[str, int] = {"harmful": harm, "lookalike": lookalike, "ordinary": ordinary}
    replies = {
        kind: (FAULTS[kind][0] * count + FAULTS[kind][1] * (N - count))[: N - unscored] + "u" * unscored
        for kind, count in faults.items()
    }
    return Planted(name, replies, loss, judge, principle)


def pairs_of(candidate: Planted, incumbent: Planted) -> list[Pair]:
    return pair_items(incumbent.items, candidate.items, candidate.evaluation.suites)


def gate(
    candidate: Planted, incumbent: Planted, options: GateOptions, base: Planted | None = None,
    drift: Sequence[Divergence] = (),
) -> Promotion:  # fmt: skip
    pairs = pairs_of(candidate, incumbent)
    return decide(
        candidate.evaluation, incumbent.evaluation, pairs, options, base=base.evaluation if base else None, drift=drift
    )


def broken(promotion: Promotion) -> set[str]:
    return {check.name for check in promotion.checks if not check.passed}
