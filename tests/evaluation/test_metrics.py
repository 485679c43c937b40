"""Figures of several replies an item, and tests of two models, against independent implementations."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from superalign.evaluation.evaluator import SuiteEvaluator
from superalign.evaluation.items import Suite, SuiteItem
from superalign.evaluation.metrics import SuiteTally, distinct_n
from superalign.evaluation.options import EvaluationOptions
from superalign.pool.options import ScriptedOptions
from superalign.pool.scripted import ScriptedPool
from superalign.records.base import SuiteKind
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Critique, Verdict
from superalign.records.rollout import Generation, Message, Response
from superalign.records.training import Checkpoint
from superalign.stats.intervals import (
    clustered,
    differ_by_chance,
    effective_n,
    holm,
    mean_of,
    paired_mean,
    paired_rates,
    turned_by_chance,
    wilson,
)


@given(st.integers(1, 500), st.data())
@settings(max_examples=25, deadline=None)
def test_wilson_as_statsmodels(n: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, n))
    found = wilson(hits, n)
    assert (found.low, found.high) == pytest.approx(proportion_confint(hits, n, method="wilson"), abs=1e-9)


def test_one_reply_an_item_is_wilson_and_equal_replies_add_nothing() -> None:
    once = [(1, 1)] * 7 + [(0, 1)] * 13
    assert clustered(once, 2) == wilson(7, 20, 2)
    repeated = clustered([(5 * hits, 5) for hits, _ in once])
    assert (repeated.low, repeated.high) == pytest.approx((wilson(7, 20).low, wilson(7, 20).high), abs=0.005)
    assert (repeated.rate, repeated.n) == (0.35, 100)
    assert effective_n([(0, 5)] * 20) == 20


def test_several_replies_an_item_as_a_bootstrap_over_items() -> None:
    rng = random.Random(1)
    items = [(sum(rng.random() < p for _ in range(5)), 5) for p in (rng.betavariate(1, 1) for _ in range(120))]
    found = clustered(items)
    rates = np.array([hits / n for hits, n in items])
    drawn = stats.bootstrap((rates,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    assert (found.low, found.high) == (pytest.approx(drawn.low, abs=0.01), pytest.approx(drawn.high, abs=0.01))
    assert 120 < effective_n(items) < 600


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda p: (min(p), max(p))), max_size=30))
def test_clusters_hold_their_rate(items: list[tuple[int, int]]) -> None:
    found, n = clustered(items), sum(n for _, n in items)
    assert 0 <= found.low <= found.rate <= found.high <= 1
    assert sum(bool(n) for _, n in items) <= effective_n(items) <= n


@given(st.integers(0, 40), st.integers(0, 40))
@settings(max_examples=25, deadline=None)
def test_mcnemar_as_statsmodels(one_way: int, other_way: int) -> None:
    theirs = mcnemar([[9, one_way], [other_way, 9]], exact=False, correction=False).pvalue
    assert turned_by_chance(one_way, other_way) == pytest.approx(theirs if one_way + other_way else 1.0)


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 12))
@settings(max_examples=50, deadline=None)
def test_interval_and_p_of_a_paired_difference_never_contradict_each_other(gained: int, lost: int, same: int) -> None:
    n = gained + lost + same
    bounds = paired_rates(gained, lost, n)
    assert (bounds.low > 0 or bounds.high < 0) == (turned_by_chance(gained, lost) < 0.05)
    differences = [1.0] * gained + [-1.0] * lost + [0.0] * same
    bounds = paired_mean(differences)
    assert (bounds.low > 0 or bounds.high < 0) == (differ_by_chance(differences) < 0.05)


@given(st.lists(st.floats(0, 1), max_size=12))
@settings(max_examples=25, deadline=None)
def test_holm_as_statsmodels(p_values: list[float]) -> None:
    theirs = list(multipletests(p_values, method="holm")[1]) if p_values else []
    assert holm(p_values) == pytest.approx(theirs)


def test_means_as_scipy() -> None:
    values = [random.Random(i).gauss(3, 2) for i in range(30)]
    found = mean_of(values)
    assert found is not None
    low, high = stats.t.interval(0.95, 29, np.mean(values), stats.sem(values))
    assert (found.value, found.low, found.high) == pytest.approx((np.mean(values), low, high))
    assert (mean_of([1.0]), differ_by_chance([1.0]), differ_by_chance([0.0, 0.0])) == (None, 1.0, 1.0)


def reply(text: str, tokens: int = 3, finish: str = "stop") -> Generation:
    return Generation.model_validate({"text": text, "num_tokens": tokens, "finish": finish})


def result(
    item: str, sample: int, refusal: str | None, harm: float | None, text: str = "a b a", why: str = ""
) -> ItemResult:
    verdict = Verdict.model_validate(
        {"critic": "t", "request_harmful": None, "refusal": refusal, "harm": harm, "score": None, "rationale": why}
    )
    return ItemResult(suite="s", item=item, sample=sample, prompt=(), reply=reply(text), verdict=verdict)


def suite(kind: SuiteKind, items: int = 0) -> Suite:
    made = tuple(SuiteItem(id=str(i), prompt=f"prompt {i}", line=i + 1) for i in range(items))
    return Suite(name="s", kind=kind, file="s.yaml", sha256="0" * 64, items=made)


def test_hits_harm_and_what_the_judge_could_not_score() -> None:
    tally = SuiteTally(suite("harmful"))
    for found in [
        result("1", 0, "full", 0.1), result("1", 1, "none", 0.9), result("2", 0, "full", 0.0),
        result("2", 1, "full", None), result("3", 1, None, None, why="cut"), result("3", 0, None, None, why="too long"),
    ]:  # fmt: skip
        tally.add(found)
    figures = tally.figures({"sensitivity": wilson(90, 100), "specificity": wilson(95, 100)})
    assert (figures.complied.rate, figures.complied.n, figures.complied.unscored) == (0.25, 4, 2)
    assert figures.why_unscored == "too long"
    assert figures.hit is not None
    assert (figures.hit.rate, figures.hit.n, figures.hit.unscored) == (0.5, 2, 1)
    assert figures.harmed is not None
    assert (figures.harmed.n, figures.harmed.unscored) == (3, 3)
    assert figures.corrected is not None
    assert figures.corrected.rate == pytest.approx((1 / 3 + 0.95 - 1) / 0.85)
    assert figures.texts is not None
    assert (figures.texts.distinct_1, figures.texts.self_bleu) == (pytest.approx(2 / 18), pytest.approx(1.0))
    assert distinct_n(["a b a b", "a b"], 2) == pytest.approx(2 / 4)


def test_the_order_of_results_changes_nothing() -> None:
    results = [
        result(str(i), k, "none" if (i + k) % 3 else "full", 0.5, f"w{i} w{k}") for i in range(9) for k in (0, 1)
    ]
    found = []
    for order in (results, results[::-1]):
        tally = SuiteTally(suite("ordinary"))
        for one in order:
            tally.add(one)
        found.append(tally.figures())
    assert found[0] == found[1]


class Judge:
    async def critique(self, response: Response) -> Critique:
        verdict = Verdict(critic="t", request_harmful=None, refusal="none", harm=0.0, score=1.0)
        return Critique(response=response, verdict=verdict)


def evaluator(items: int, samples: int = 1) -> SuiteEvaluator:
    options = EvaluationOptions(samples=samples, temperature=float(samples > 1))
    pool = ScriptedPool(ScriptedOptions(fallback=("word " * 30, "other")))
    return SuiteEvaluator(pool, Judge(), "t", [suite("ordinary", items)], None, options)


BASE = Checkpoint(id="base", base="toy")


async def test_samples_differ_and_an_interrupted_evaluation_asks_only_for_the_missing() -> None:
    written: list[ItemResult] = []

    async def note(found: ItemResult) -> None:
        written.append(found)

    whole = await evaluator(6, 4).evaluate("base", BASE, on_item=note)
    assert len(written) == 24
    assert len({found.reply.text for found in written if found.item == "0"}) == 2
    again: list[ItemResult] = []

    async def more(found: ItemResult) -> None:
        again.append(found)

    assert await evaluator(6, 4).evaluate("base", BASE, done=iter(written[:17]), on_item=more) == whole
    assert len(again) == 7
    assert whole.suites[0].hit is not None
    assert (whole.samples, whole.suites[0].complied.n, whole.suites[0].hit.n) == (4, 24, 6)


@pytest.mark.parametrize("resumed", [False, True])
async def test_memory_does_not_grow_with_replies(resumed: bool) -> None:
    def written(items: int) -> Iterator[ItemResult]:
        for i in range(items):
            prompt = (Message(role="user", content=f"prompt {i}"),)
            yield result(str(i), 0, "none", 0.0, "word " * 30).model_copy(update={"prompt": prompt})

    peaks = []
    for items in (300, 2000):
        measured = evaluator(items)
        tracemalloc.start()
        await measured.evaluate("base", BASE, done=written(items) if resumed else ())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 1700 * 1000  # bytes an item; a result with its prompt and verdict has 4,000
