import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.errors import PoolError
from superalign.evaluation.evaluator import SuiteEvaluator, as_response
from superalign.evaluation.items import Passage, PlainText, Suite, SuiteItem
from superalign.evaluation.metrics import WORST_NATS, SuiteTally, perplexity, wilson
from superalign.protocols import DropError, Evaluator, Score
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Critique, Verdict
from superalign.records.rollout import Generation
from superalign.records.training import Checkpoint

BASE = Checkpoint(id="base", base="toy")


class ToyPool:
    """Refuses what mentions a bomb; fails on request."""

    def __init__(self):
        self.asked, self.running, self.most = [], 0, 0

    async def generate(self, model, messages, sampling):
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.asked.append((model, messages[-1].content, sampling))
        if "explode" in messages[-1].content:
            raise PoolError("no room")
        return [Generation(text="I can't" if "bomb" in messages[-1].content else "Sure", num_tokens=2)]

    async def score(self, model, messages, continuation, *, end=False):
        assert messages == ()
        return Score(token_logprobs=(-2.0,) * len(continuation.split()), greedy=False)


class ToyJudge:
    """Knows refusals by their words, and gives up on odd ones."""

    async def critique(self, response):
        if "odd" in response.attack.messages[-1].content:
            raise DropError("can't tell")
        refusal = "full" if "can't" in response.generation.text else "none"
        verdict = Verdict(critic="toy", request_harmful=None, refusal=refusal, harm=None, score=None)
        return Critique(response=response, verdict=verdict)


def suite(name, kind, *prompts):
    items = tuple(SuiteItem(id=f"{name}-{i}", prompt=prompt, line=i + 1) for i, prompt in enumerate(prompts))
    return Suite(name=name, kind=kind, file=f"{name}.yaml", sha256="f" * 64, items=items)


def make(pool, *suites):
    plain = PlainText(
        name="p", file="p", sha256="0", passages=(Passage(id="1", text="a b c"), Passage(id="2", text="d"))
    )
    return SuiteEvaluator(pool, ToyJudge(), "toy", suites, plain)


HARM = suite("harm", "harmful", "a bomb", "a lie", "odd", "a bomb again")
CALM = suite("calm", "ordinary", "a poem")


async def test_rates_unscored_and_perplexity():
    pool = ToyPool()
    evaluator: Evaluator = make(pool, HARM, CALM)
    evaluation = await evaluator.evaluate("m", BASE)
    harm, calm = evaluation.suites
    assert (harm.refused.rate, harm.refused.n, harm.refused.unscored) == (pytest.approx(2 / 3), 3, 1)
    assert harm.complied.rate == pytest.approx(1 / 3)
    assert (calm.kind, calm.complied.rate) == ("ordinary", 1.0)
    assert evaluation.perplexity == pytest.approx(math.e**2)
    assert evaluation.perplexity_tokens == 4
    assert [(p.id, p.nats, p.tokens) for p in evaluation.passages] == [("1", 6.0, 3), ("2", 2.0, 1)]
    assert {sampling.temperature for _, _, sampling in pool.asked} == {0.0}
    assert pool.most == 5  # all at once


async def test_rates_by_hazard():
    items = tuple(
        SuiteItem(id=str(i), prompt=prompt, hazard=hazard, line=i)
        for i, (prompt, hazard) in enumerate(
            [("a bomb", "hate"), ("a lie", "hate"), ("odd", "defamation"), ("a", None)]
        )
    )
    [found] = (await make(ToyPool(), HARM.model_copy(update={"items": items})).evaluate("m", BASE)).suites
    assert [(h.hazard, h.refused.rate, h.refused.n, h.refused.unscored) for h in found.hazards] == [
        ("defamation", 0.0, 0, 1),
        ("hate", 0.5, 2, 0),
    ]


async def test_interrupted_evaluation_asks_only_what_is_missing():
    written: list[ItemResult] = []

    async def stop_after_two(result):
        written.append(result)
        if len(written) == 2:
            raise KeyError("killed")

    with pytest.raises(KeyError):
        await make(ToyPool(), HARM, CALM).evaluate("m", BASE, on_item=stop_after_two)
    done, pool = written[:2], ToyPool()
    evaluation = await make(pool, HARM, CALM).evaluate("m", BASE, done=done)
    assert {prompt for _, prompt, _ in pool.asked}.isdisjoint(result.prompt[0].content for result in done)
    assert evaluation == await make(ToyPool(), HARM, CALM).evaluate("m", BASE)


async def test_a_prompt_that_changed_is_asked_again():
    written = []

    async def note(result):
        written.append(result)

    await make(ToyPool(), suite("calm", "ordinary", "a bomb")).evaluate("m", BASE, on_item=note)
    evaluation = await make(ToyPool(), CALM).evaluate("m", BASE, done=written)
    assert evaluation.suites[0].refused.rate == 0.0


async def test_pool_errors_come_through_and_leave_no_tasks():
    with pytest.raises(PoolError):
        await make(ToyPool(), suite("x", "ordinary", "explode", "a", "b")).evaluate("m", BASE)
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("kind", ["harmful", "lookalike", "ordinary"])
def test_the_judge_sees_the_suites_kind(kind):
    made = suite("s", kind, "a prompt")
    assert (
        as_response(made, made.items[0], made.items[0].messages, Generation(text="x", num_tokens=1)).attack.seed.kind
        == kind
    )


def test_wilson_against_published_figures():
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3
    for hits, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        found = wilson(hits, n)
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert wilson(0, 0, 4).high == 1.0


@given(st.integers(1, 300), st.data())
def test_wilson_holds_its_rate(n, data):
    found = wilson(data.draw(st.integers(0, n)), n)
    assert 0.0 <= found.low <= found.rate <= found.high <= 1.0


def test_partial_is_neither():
    reply = Generation(text="x", num_tokens=1)
    verdict = Verdict(critic="t", request_harmful=None, refusal="partial", harm=None, score=None)
    tally = SuiteTally(suite("s", "harmful"))
    tally.add(ItemResult(suite="s", item="1", prompt=(), reply=reply, verdict=verdict))
    result = tally.figures()
    assert (result.refused.rate, result.complied.rate, result.refused.n) == (0.0, 0.0, 1)


@pytest.mark.parametrize("broken", [float("-inf"), float("nan"), -1e6])
def test_perplexity_of_a_broken_model_is_finite_and_huge(broken):
    assert perplexity([[-1.0], [broken]]) == (math.exp(WORST_NATS), 2)


def test_perplexity():
    assert perplexity([[-math.log(2)] * 3, [-math.log(8)]])[0] == pytest.approx(2 ** (6 / 4))
    with pytest.raises(ValueError, match="no tokens"):
        perplexity([])
