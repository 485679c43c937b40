"""How far two people agree."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations

from superalign.records.base import Rate, Record
from superalign.review.labels import Judgement, Standing


class Agreement(Record):
    """Two authors, over the answers that both judged."""

    authors: tuple[str, str]
    items: int
    agreed: Rate
    """Share with the same judgement."""
    kappa: float | None
    """Cohen's kappa (1960), 1 perfect, 0 chance; None where chance alone explains it all: only one judgement occurs."""


def agreements(labels: Standing) -> list[Agreement]:
    """One for each two authors who judged an answer in common, by name."""
    judgements: defaultdict[tuple[str, str], list[tuple[Judgement, Judgement]]] = defaultdict(list)
    for said in labels.values():
        spoke = {author: label.judgement for author, label in sorted(said.items()) if label.judgement is not None}
        for one, other in combinations(spoke, 2):
            judgements[one, other].append((spoke[one], spoke[other]))
    return [
        Agreement(authors=pair, items=len(both), agreed=sum(a == b for a, b in both) / len(both), kappa=_kappa(both))
        for pair, both in sorted(judgements.items())
    ]


def _kappa(both: list[tuple[Judgement, Judgement]]) -> float | None:
    if len({judgement for pair in both for judgement in pair}) == 1:
        return None
    from sklearn.metrics import cohen_kappa_score  # here, for it takes a second that the page need not wait for

    first, second = zip(*both, strict=True)
    return float(cohen_kappa_score(first, second))
