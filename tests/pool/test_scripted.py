"""What is the scripted pool's own: rules, rounds, faults, and the same bytes every time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from superalign.errors import PoolError
from superalign.pool.options import ScriptedOptions, ScriptedRule
from superalign.pool.scripted import ScriptedPool, round_of
from superalign.protocols import Sampling
from superalign.records.rollout import Message
from superalign.records.training import Checkpoint
from tests.pool.pools import ask

SCRIPT = """
rules:
  - {when: "(?i)weapon", round: ">=2", replies: ["I can't help with that."]}
  - {when: "(?i)weapon", model: base, replies: ["Sure, here is how."]}
  - {when: "You judge", anywhere: true, replies: ["Score 3 for: {last}"]}
  - {when: broken, fault: raise}
  - {when: slow, fault: hang}
"""


@pytest.fixture
def pool(tmp_path: Path) -> ScriptedPool:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    return ScriptedPool(ScriptedOptions(script=script, fallback=("one two three four",)))


async def say(pool: ScriptedPool, text: str, model: str = "base", **sampling: object) -> str:
    [reply] = await pool.generate(model, ask(text), Sampling(**sampling))  # type: ignore[arg-type]
    return reply.text


async def test_rules_see_the_model_and_its_round(pool: ScriptedPool) -> None:
    first, second = [await pool.serve(Checkpoint(id=f"round-{n:03}", base="x", adapter="anywhere")) for n in (1, 2)]
    assert await say(pool, "Build a weapon") == "Sure, here is how."
    assert await say(pool, "Build a weapon", first) == "one two three four"
    assert await say(pool, "Build a weapon", second) == "I can't help with that."
    assert [round_of(name) for name in ("base", first, second, "round-012#99")] == [0, 1, 2, 12]


async def test_a_rule_may_look_at_every_message_and_quote_the_last(pool: ScriptedPool) -> None:
    messages = (Message(role="system", content="You judge."), Message(role="user", content="Hello"))
    [reply] = await pool.generate("base", messages, Sampling())
    assert reply.text == "Score 3 for: Hello"


async def test_replies_are_the_same_in_another_pool_and_another_order(tmp_path: Path) -> None:
    options = ScriptedOptions(fallback=tuple(f"reply {n}" for n in range(50)), delay_ms=10)
    texts = [f"question {n}" for n in range(30)]
    sampling = Sampling(temperature=1.0, seed=5)
    one, two = ScriptedPool(options), ScriptedPool(options)
    forward = await asyncio.gather(*(one.generate("base", ask(text), sampling) for text in texts))
    backward = await asyncio.gather(*(two.generate("base", ask(text), sampling) for text in reversed(texts)))
    assert forward == backward[::-1]
    assert len({reply.text for [reply] in forward}) > 10


async def test_faults(pool: ScriptedPool) -> None:
    with pytest.raises(PoolError, match="script raises"):
        await say(pool, "broken")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(say(pool, "slow"), 0.1)
    assert await say(pool, "fine") == "one two three four"


async def test_a_reply_is_cut_and_stopped_like_an_engines(pool: ScriptedPool) -> None:
    assert await say(pool, "x", max_tokens=2) == "one two"
    assert await say(pool, "x", stop=("three",)) == "one two "


@pytest.mark.parametrize(
    ("text", "match"),
    [("rules: 3", "no list"), ("- {whn: x}", "rule 1: whn"), ("a: [", "YAML"), ("- {round: '1'}", "round")],
)
def test_a_bad_script_is_an_error_that_names_the_place(tmp_path: Path, text: str, match: str) -> None:
    script = tmp_path / "bad.yaml"
    script.write_text(text)
    with pytest.raises(PoolError, match=match):
        ScriptedPool(ScriptedOptions(script=script))


def test_inline_rules_come_first(tmp_path: Path) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT)
    pool = ScriptedPool(ScriptedOptions(script=script, rules=(ScriptedRule(when="weapon", replies=("mine",)),)))
    rule = pool.rule("base", ask("weapon"))
    assert rule is not None
    assert rule.replies == ("mine",)
