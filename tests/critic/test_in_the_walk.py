"""What the rollout asks of a critic beyond its verdicts: of its own better answer, and of two answers at once."""

from __future__ import annotations

from typing import Any

import pytest

from superalign.loop.rollout import Roles, play
from superalign.protocols import DropError
from superalign.records.exchange import Comparison, Critique, Dropped, Exchange, Revision, Verdict
from superalign.records.rollout import Attack, Generation, Response, Rollout
from tests.critic.toys import response, verdict

SCORES = {"fine": 0.9, "poor": 0.3, "worst": 0.1, "I won't.": 0.8}


class Loop:
    """Attacker, learner and critic of one rollout, by the texts of the answers."""

    def __init__(self, *answers: str, better: str | None = "I won't.", confirmed: float | None = None) -> None:
        self.answers, self.better, self.confirmed = answers, better, confirmed
        self.judged, self.compared = list[str](), list[tuple[str, str]]()
        self.over_with = 0

    async def attack(self, rollout: Rollout, history: Any) -> Attack | None:
        return None if history else response().attack

    def over(self, rollout: Rollout, history: Any) -> None:
        self.over_with += 1

    async def respond(self, attack: Attack, n: int) -> list[Response]:
        return [
            Response(attack=attack, index=i, generation=Generation(text=t, num_tokens=1))
            for i, t in enumerate(self.answers)
        ]

    async def revise(self, critique: Critique) -> Revision:
        raise DropError("nothing to revise")

    async def critique(self, response: Response) -> Critique:
        text = response.generation.text
        self.judged.append(text)
        if text not in SCORES:
            raise DropError("it can't be read")
        better = self.better if SCORES[text] < 0.5 else None
        return Critique(response=response, verdict=verdict(SCORES[text], better=better))

    async def compare(self, a: Response, b: Response) -> float:
        self.compared.append((a.generation.text, b.generation.text))
        if self.confirmed is None:
            raise DropError("none of FIRST, SECOND, TIE")
        return self.confirmed


async def walked(loop: Loop, *, compare: bool = False) -> tuple[Exchange, list[Dropped]]:
    roles = Roles(loop, loop, loop, len(loop.answers), 0.0, loop if compare else None)
    rollout = Rollout(round=1, seed=response().attack.seed, index=0)
    found = [record async for record in play(roles, rollout, (), ended=False)]
    [exchange] = [record for record in found if isinstance(record, Exchange)]
    return exchange, [record for record in found if isinstance(record, Dropped)]


async def test_the_critic_judges_its_better_answer_for_the_worst_one_before_anyone_learns_from_it() -> None:
    loop = Loop("poor", "worst", "fine")
    exchange, dropped = await walked(loop)
    assert loop.judged == ["poor", "worst", "fine", "I won't."]
    scores = [answer.better_verdict and answer.better_verdict.score for answer in exchange.answers]
    assert scores == [None, 0.8, None]
    assert (dropped, exchange.comparison) == ([], None)


@pytest.mark.parametrize(("better", "judged"), [("gibberish", 1), (None, 0)])
async def test_a_better_answer_without_a_verdict_is_left_alone(better: str | None, judged: int) -> None:
    exchange, dropped = await walked(Loop("worst", better=better))
    assert exchange.answers[0].better_verdict is None
    assert len(dropped) == judged


async def test_the_best_and_the_worst_are_compared_where_the_critic_compares() -> None:
    loop = Loop("poor", "fine", "worst", confirmed=0.75)
    exchange, _ = await walked(loop, compare=True)
    assert loop.compared == [("fine", "worst")]
    assert exchange.comparison == Comparison(better=1, worse=2, confirmed=0.75)


async def test_a_comparison_that_fails_is_counted() -> None:
    exchange, dropped = await walked(Loop("fine", "worst"), compare=True)
    assert exchange.comparison is None
    assert [loss.reason for loss in dropped] == ["not compared: none of FIRST, SECOND, TIE"]


async def test_one_answer_is_compared_with_nothing() -> None:
    loop = Loop("fine", confirmed=1.0)
    exchange, _ = await walked(loop, compare=True)
    assert (loop.compared, exchange.comparison) == ([], None)


def test_a_verdict_of_old_still_reads() -> None:
    old = '{"critic": "rules", "request_harmful": null, "refusal": "full", "harm": null, "score": null}'
    assert Verdict.model_validate_json(old).votes == ()
