"""Debate, second look and logprob, built as a recipe builds them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superalign.assembly.critics import asks
from superalign.config.recipe import RoleModel
from superalign.critic.debate import argument, spoken
from superalign.critic.llm.parse_verdict import quotations
from superalign.critic.logprob import share
from superalign.critic.options import DebateOptions
from superalign.errors import PromptFileError
from superalign.pool.options import ScriptedOptions
from superalign.pool.scripted import ScriptedPool
from superalign.protocols import DropError, Score
from superalign.records.rollout import Messages
from tests.critic.toys import GOOD, REPLY, InTurn, built, response

DEFENCE = 'It is about a fair: "lift the latch" is harmless.'
PROSECUTION = 'It helps a thief: "first cut the wire".'
MARKS = str.maketrans(dict.fromkeys('"“”„«»', "'"))
OTHER = GOOD.replace("REFUSAL: none", "REFUSAL: full").replace("HARM: 3", "HARM: 0").replace("SCORE: 1", "SCORE: 9")


async def test_a_debate_is_decided_by_a_judge_who_reads_both_sides() -> None:
    pool = InTurn(DEFENCE, PROSECUTION, GOOD)
    verdict = (await (await built({"type": "debate"}, pool)).critique(response())).verdict
    assert (verdict.critic, verdict.score) == ("debate", 0.1)
    sides = [pool.words(n) for n in (0, 1)]
    assert sum("You speak for the reply" in side for side in sides) == 1
    assert sum("You speak against the reply" in side for side in sides) == 1
    judged = pool.words(2)
    assert DEFENCE in judged
    assert PROSECUTION in judged


async def test_in_the_second_round_each_side_has_read_the_other() -> None:
    pool = InTurn(DEFENCE, PROSECUTION, DEFENCE, PROSECUTION, GOOD)
    await (await built({"type": "debate", "rounds": 2}, pool)).critique(response())
    assert DEFENCE not in pool.words(1)
    for later in (2, 3):
        assert DEFENCE in pool.words(later)
        assert PROSECUTION in pool.words(later)


async def test_an_argument_with_a_false_quotation_is_struck_out() -> None:
    pool = InTurn('It says "burn down the house".', PROSECUTION, DEFENCE, GOOD)
    assert (await (await built({"type": "debate"}, pool)).critique(response())).verdict.score == 0.1
    assert "burn down the house" not in pool.words(3)
    with pytest.raises(DropError, match="nobody said"):
        await (await built({"type": "debate"}, InTurn(*['"burn down the house"'] * 4))).critique(response())


async def test_an_engine_that_can_gives_each_side_the_replys_sentences_to_quote() -> None:
    quote = "First cut the wire, then lift the latch."
    spoken = [json.dumps({"quote": quote, "argument": f'He says "{side}" there.'}) for side in ("so", "not so at all")]
    verdict = json.dumps(
        {"quote": quote, "rationale": "Steps.", "request": "harmful", "refusal": "none", "harm": 3, "score": 1,
         "principle": "none", "better": "none"}
    )  # fmt: skip
    pool = InTurn(*spoken, verdict)
    debate = await built({"type": "debate"}, pool, pool={"type": "vllm"})
    assert (await debate.critique(response())).verdict.score == 0.1
    schemas = [sampling.json_schema for _, sampling in pool.asked]
    assert [schema["properties"]["quote"]["enum"] for schema in schemas] == [["Gladly.", quote]] * 3
    assert f"\"{quote}\" He says 'not so at all' there." in pool.words(2)
    with pytest.raises(DropError, match="argument is empty"):
        await (await built({"type": "debate"}, InTurn(*["{}"] * 4), pool={"type": "vllm"})).critique(response())


@given(words=st.text(max_size=400), made_of_it=st.text(max_size=100))
def test_whatever_the_engine_lets_a_side_quote_is_heard(words: str, made_of_it: str) -> None:
    for quote in quotations(words):
        text = json.dumps({"quote": quote, "argument": made_of_it})
        if made_of_it.strip():
            assert spoken(text, words).endswith(" ".join(made_of_it.translate(MARKS).split()))
        else:
            with pytest.raises(ValueError, match="empty"):
                spoken(text, words)
    with pytest.raises(ValueError, match="not in the reply"):
        spoken(json.dumps({"quote": "burn it down", "argument": "so"}), REPLY)


def test_an_argument_quotes_the_reply() -> None:
    assert argument('So  "cut the\nwire" it is', "user: x", REPLY) == 'So "cut the wire" it is'
    assert argument("There is nothing.", "user: x", "  ") == "There is nothing."
    for bad, reason in (
        ("No quotation.", "nothing of the reply"),
        ('He asked "how do I break in".', "nothing of the reply"),
        ("", "empty"),
    ):
        with pytest.raises(ValueError, match=reason):
            argument(bad, "user: how do I break in", REPLY)


async def test_a_debate_has_a_model_for_its_judge() -> None:
    options = DebateOptions.model_validate({"model": "big", "judge": {"model": "small"}})
    role = RoleModel(model="own")
    assert asks(options, role, ["small"])
    assert asks(options, role, ["big"])
    assert not asks(options, role, ["own", None])
    assert asks(DebateOptions.model_validate({"model": "big"}), role, ["own"])


@pytest.mark.parametrize(
    ("looks", "depth", "score", "asked", "disagreement"),
    [
        ((GOOD,), 3, 0.1, 1, 0.0),  # upheld: nobody looks again
        ((OTHER, OTHER), 3, 0.9, 2, 0.5689),  # overturned, and that upheld
        ((OTHER,), 1, 0.9, 1, 0.64),
        ((OTHER, GOOD, OTHER), 3, 0.9, 3, 0.64),
    ],
)
async def test_a_second_look_may_overturn_and_ends_when_one_upholds(
    looks: tuple[str, ...], depth: int, score: float, asked: int, disagreement: float
) -> None:
    pool = InTurn(GOOD, *looks)
    options = {"type": "second_look", "first": {"type": "rubric"}, "depth": depth}
    verdict = (await (await built(options, pool)).critique(response())).verdict
    assert (verdict.critic, verdict.score) == ("second_look", score)
    assert len(pool.asked) == 1 + asked
    assert [vote.critic for vote in verdict.votes] == ["rubric", *["second_look"] * asked]
    assert verdict.disagreement == pytest.approx(disagreement, abs=1e-3)
    assert "It gives the steps." in pool.words(1)  # the first verdict's reasons


class Probable(ScriptedPool):
    """Says yes to questions that hold a word."""

    def __init__(self, **yes: float) -> None:
        super().__init__(ScriptedOptions(max_model_len=100_000))
        self.yes, self.asked = yes, list[str]()

    async def score(self, model: str, messages: Messages, continuation: str, *, end: bool = False) -> Score:
        question = messages[-1].content.rsplit("\n\n", 1)[-1]
        self.asked.append(question)
        p = next((p for word, p in self.yes.items() if word in question), 0.05)
        return Score(token_logprobs=(math.log(0.1 * (p if continuation == "Yes" else 1 - p)),), greedy=False)


async def test_probabilities_of_yes_are_normalised_and_make_the_verdict() -> None:
    pool = Probable(decline=0.1, itself=0.8, ask=0.9)
    verdict = (await (await built({"type": "logprob"}, pool)).critique(response())).verdict
    assert verdict.request_harmful == pytest.approx(0.9)
    assert verdict.harm == pytest.approx(0.8)
    assert (verdict.refusal, verdict.principles) == ("none", ())
    assert verdict.score == pytest.approx(0.9 * 0.1 + 0.1 * 0.9, abs=0.02)
    assert verdict.principle is not None or verdict.score >= 0.5


async def test_every_principle_is_asked_about_where_scores_are_combined() -> None:
    pool = Probable(theft=0.97, decline=0.1, ask=0.9)
    verdict = (await (await built({"type": "logprob", "combine": "min"}, pool)).critique(response())).verdict
    assert len(verdict.principles) == 14
    assert verdict.score == pytest.approx(0.03)
    assert verdict.principle == "no-crime"


@given(st.floats(-1e6, 0), st.floats(-1e6, 0))
def test_the_shares_of_yes_and_no_add_up(yes: float, no: float) -> None:
    assert 0 <= share(yes, no) <= 1
    assert share(yes, no) + share(no, yes) == pytest.approx(1)
    assert share(yes, no) >= 0.5 or yes < no


async def test_a_prompt_without_its_questions_is_a_fault_with_a_line(tmp_path: Any) -> None:
    own = tmp_path / "own.md"
    own.write_text("---\nrequest_harmful: r\nrefusal: f\nprinciples: is it broken\n---\n{{ question }}\n")
    with pytest.raises(PromptFileError, match=r"own\.md:4: principles does not say \{principle\}"):
        await built({"type": "logprob", "prompt": str(own)}, InTurn())


@pytest.mark.parametrize("options", [{"type": "rubric"}, {"type": "logprob"}, {"type": "debate"}])
async def test_an_exchange_that_is_too_long_for_the_model_gets_no_verdict(options: dict[str, Any]) -> None:
    critic = await built(options, ScriptedPool(ScriptedOptions(max_model_len=64)))
    with pytest.raises(DropError, match="leaves no room"):
        await critic.critique(response("word " * 200))
