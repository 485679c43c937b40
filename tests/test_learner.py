from __future__ import annotations

import pytest

from superalign.files.find import prompt_path
from superalign.files.templates import load_prompt
from superalign.learner import REVISE_SLOTS, LearnerOptions, PoolLearner
from superalign.protocols import DropError, Sampling
from superalign.records.exchange import Critique, Verdict
from superalign.records.rollout import Attack, Generation, Message, Messages, Seed

SEED = Seed(id="s", goal="bake bread", intent="benign")
ATTACK = Attack(
    id="r001/s/0",
    seed=SEED,
    strategy="direct",
    strategy_sha256="0",
    messages=(Message(role="user", content="Bake bread."),),
)


class Toy:
    def __init__(self, text: str) -> None:
        self.text, self.asked = text, list[tuple[Messages, Sampling]]()

    async def generate(self, model: str, messages: Messages, sampling: Sampling) -> list[Generation]:
        self.asked.append((messages, sampling))
        return [Generation(text=f"{self.text}{n or ''}", num_tokens=1) for n in range(sampling.n)]


def learner(pool: Toy, **options: object) -> PoolLearner:
    prompt = load_prompt(prompt_path("learner/revise.md"), REVISE_SLOTS)
    return PoolLearner(pool, "base", LearnerOptions(**options), prompt, run_seed=1)  # type: ignore[arg-type]


async def test_answers_share_one_request_with_a_seed_of_its_own() -> None:
    pool = Toy("a")
    responses = await learner(pool, system="Be brief.").respond(ATTACK, 3)
    assert [r.index for r in responses] == [0, 1, 2]
    [(messages, sampling)] = pool.asked
    assert [m.role for m in messages] == ["system", "user"]
    again = Toy("a")
    await learner(again).respond(ATTACK, 3)
    assert again.asked[0][1].seed == sampling.seed


@pytest.mark.parametrize(("harmful", "said"), [(0.9, "Decline it politely"), (0.1, "do not refuse")])
async def test_a_revision_reads_the_critique(harmful: float, said: str) -> None:
    pool = Toy("better")
    [response] = await learner(pool).respond(ATTACK, 1)
    verdict = Verdict(
        critic="c", request_harmful=harmful, refusal="none", harm=0.5, score=0.1, rationale="{{ 7 }} It refuses."
    )
    revision = await learner(pool).revise(Critique(response=response, verdict=verdict))
    asked = pool.asked[-1][0]
    assert [m.role for m in asked] == ["user", "assistant", "user"]
    assert said in asked[-1].content
    assert "{{ 7 }} It refuses." in asked[-1].content
    assert revision.generation.text == "better"
    with pytest.raises(DropError, match="empty"):
        await learner(Toy(" ")).revise(Critique(response=response, verdict=verdict))
