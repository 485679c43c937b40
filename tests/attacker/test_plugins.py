"""Anyone's code as an attacker or a critic."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from pathlib import Path

import pytest

from superalign.attacker.strategies.load import load_strategies
from superalign.attacker.strategies.plugin import PluginStrategy, resolve
from superalign.attacker.strategies.protocol import Step
from superalign.critic.options import PluginOptions
from superalign.critic.plugin import load_critic
from superalign.errors import PromptFileError
from superalign.protocols import DropError
from superalign.records.exchange import Answer, Exchange
from superalign.records.rollout import Attack, Generation, Message, Response, Rollout, Seed

SEED = Seed(id="s", goal="bake bread", intent="benign")
ROLLOUT = Rollout(round=1, seed=SEED, index=0)


def attack(number: int = 0) -> Attack:
    said = (Message(role="user", content=f"attack {number}"),)
    return Attack(id=ROLLOUT.attack_id(number), seed=SEED, strategy="x", strategy_sha256="0", messages=said)


def history(length: int) -> list[Exchange]:
    answer = Answer(generation=Generation(text="reply", num_tokens=1))
    return [Exchange(id=attack(n).id, round=1, attack=attack(n), answers=(answer,)) for n in range(length)]


def put(folder: Path, code: str, name: str = "mine.py") -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(code)
    return name


def loaded(folder: Path, code: str, name: str = "mine.py") -> PluginStrategy:
    strategy = resolve(put(folder, code, name), folder)
    assert strategy is not None
    return strategy


async def step(strategy: PluginStrategy, had: int = 0) -> Step | None:
    return await strategy.step(ROLLOUT, history(had), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["def", "async def"])
async def test_a_text_is_one_attack_of_the_user(tmp_path: Path, kind: str) -> None:
    code = f"class Mine:\n    'Says please.\\n\\nMore.'\n    {kind} attack(self, seed, history):\n"
    code += "        return 'Please ' + seed.goal\n"
    strategy = loaded(tmp_path, code)
    found = await step(strategy)
    assert found is not None
    assert [(m.role, m.content) for m in found.messages] == [("user", "Please bake bread")]
    assert await step(strategy, 1) is None, "one attack a walk, unless max_attacks says more"
    assert strategy.sha256 == hashlib.sha256(code.encode()).hexdigest()
    assert (strategy.meta.description, strategy.meta.style) == ("Says please.", "plain")


async def test_a_rollout_of_several_attacks_sees_its_history(tmp_path: Path) -> None:
    code = """
class Mine:
    max_attacks = 3
    style = "dialogue"
    def attack(self, seed, history):
        if len(history) == 2:
            return None
        talk = [m for e in history for m in ({"role": "user", "content": e.attack.messages[-1].content},
                {"role": "assistant", "content": e.answers[0].generation.text})]
        return [*talk, {"role": "user", "content": f"turn {len(history)}"}]
"""
    strategy = loaded(tmp_path, code)
    found = await step(strategy, 1)
    assert found is not None
    assert [m.content for m in found.messages] == ["attack 0", "reply", "turn 1"]
    assert await step(strategy, 2) is None
    assert strategy.meta.style == "dialogue"


async def test_an_attack_like_object_counts_by_its_messages(tmp_path: Path) -> None:
    code = """
from superalign.records.rollout import Message
class Out:
    messages = (Message(role="system", content="s"), Message(role="user", content="u"))
class Mine:
    def attack(self, seed, history):
        return Out()
"""
    found = await step(loaded(tmp_path, code))
    assert found is not None
    assert [m.role for m in found.messages] == ["system", "user"]


async def test_what_a_plug_in_raises_drops_the_rollout_and_names_its_line(tmp_path: Path) -> None:
    code = "import json\nclass Mine:\n    def attack(self, seed, history):\n        return json.loads('{')\n"
    with pytest.raises(DropError, match=r"mine\.py:4: JSONDecodeError"):
        await step(loaded(tmp_path, code))


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("7", "attack returned int 7; expected a text, a list of"),
        ("[{'role': 'robot', 'content': 'x'}]", "attack returned list"),
        ("[]", "does not end with the user's words"),
        ("[{'role': 'user', 'content': 'x'}, {'role': 'assistant', 'content': 'y'}]", "does not end with"),
        ("'  '", "does not end with"),
        ("{'messages': 1}", "attack returned dict"),
    ],
)
async def test_a_wrong_result_drops_the_rollout_and_says_what_was_expected(
    tmp_path: Path, result: str, said: str
) -> None:
    code = f"class Mine:\n    def attack(self, seed, history):\n        return {result}\n"
    with pytest.raises(DropError, match=said):
        await step(loaded(tmp_path, code))


async def test_slow_plug_ins_wait_beside_the_loop_and_never_run_twice_at_once(tmp_path: Path) -> None:
    code = """
import time
class Mine:
    inside = most = 0
    def attack(self, seed, history):
        Mine.inside += 1
        Mine.most = max(Mine.most, Mine.inside)
        time.sleep(0.02)
        Mine.inside -= 1
        return f"at most {Mine.most}"
"""
    strategy, ticks = loaded(tmp_path, code), 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    steps = await asyncio.gather(*(step(strategy) for _ in range(5)))
    ticking.cancel()
    assert {found.messages[0].content for found in steps if found} == {"at most 1"}
    assert ticks >= 5


def test_it_may_say_which_goals_it_is_for(tmp_path: Path) -> None:
    code = "class Mine:\n    def applies(self, seed): return seed.hazard == 'hate'\n"
    code += "    def attack(self, seed, history): ...\n"
    strategy = loaded(tmp_path, code)
    assert not strategy.applies(SEED)
    assert strategy.applies(SEED.model_copy(update={"hazard": "hate"}))


def test_a_mix_names_plug_ins_like_strategies(tmp_path: Path) -> None:
    put(tmp_path, "class Mine:\n    def attack(self, seed, history): return 'x'\n", "sub/mine.py")
    strategies = load_strategies(["direct", "./sub/mine.py"], tmp_path)
    assert set(strategies) == {"direct", "./sub/mine.py"}
    assert list(strategies["./sub/mine.py"].files.values()) == [tmp_path / "sub/mine.py"]
    with pytest.raises(PromptFileError, match=r"gone\.py: neither a \.py file"):
        load_strategies(["./gone.py"], tmp_path)


async def test_a_package_folder_is_one_plug_in_and_all_its_files_count(tmp_path: Path) -> None:
    put(tmp_path, "WORD = 'Kindly'\n", "pack/words.py")
    code = "from .words import WORD\nclass Base:\n    def attack(self, seed, history): raise NotImplementedError\n"
    code += "class Mine(Base):\n    def attack(self, seed, history): return f'{WORD} {seed.goal}'\n"
    put(tmp_path, code, "pack/__init__.py")
    strategy = resolve("pack", tmp_path)
    assert strategy is not None
    found = await step(strategy)
    assert found is not None
    assert found.messages[0].content == "Kindly bake bread"
    before = strategy.sha256
    put(tmp_path, "WORD = 'Please'\n", "pack/words.py")
    again = resolve("pack", tmp_path)
    assert again is not None
    assert again.sha256 != before
    assert len(again.files) == 2
    (tmp_path / "prompts_only").mkdir()
    assert resolve("prompts_only", tmp_path) is None


def install(site: Path, monkeypatch: pytest.MonkeyPatch, lines: str, code: str) -> None:
    put(site, code, "toyplugs.py")
    put(site, "Metadata-Version: 2.1\nName: toyplugs\nVersion: 1\n", "toyplugs-1.dist-info/METADATA")
    put(site, lines, "toyplugs-1.dist-info/entry_points.txt")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.delitem(sys.modules, "toyplugs", raising=False)


async def test_entry_points_of_installed_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "[superalign.attackers]\ntoy = toyplugs:Mine\nbroken = toyplugs:Gone\nno_class = toyplugs:WORD\n"
    code = "WORD = 'x'\nclass Mine:\n    def attack(self, seed, history): return 'from a package'\n"
    install(tmp_path, monkeypatch, lines, code)
    strategy = load_strategies(["toy"])["toy"]
    found = await strategy.step(ROLLOUT, (), None)  # type: ignore[arg-type]
    assert found is not None
    assert found.messages[0].content == "from a package"
    assert strategy.sha256 == hashlib.sha256(code.encode()).hexdigest()
    for name, said in (("broken", "import failed: AttributeError"), ("no_class", "is no class with a method attack")):
        with pytest.raises(PromptFileError, match=rf"entry point {name} \(toyplugs:.*{said}"):
            load_strategies([name])
    with pytest.raises(PromptFileError, match="toyy"):
        load_strategies(["toyy"])


RESPONSE = Response(attack=attack(), index=0, generation=Generation(text="Sure.", num_tokens=1))


async def test_a_critic_gives_some_fields_of_a_verdict(tmp_path: Path) -> None:
    code = """
class Judge:
    def __init__(self, options):
        self.word = options["word"]
    def critique(self, messages, reply):
        assert messages == [{"role": "user", "content": "attack 0"}]
        return {"refusal": "none" if self.word in reply else "full", "score": 0.25}
"""
    put(tmp_path, code, "judge.py")
    critic = load_critic(PluginOptions(path="judge.py", options={"word": "Sure"}), tmp_path)
    verdict = (await critic.critique(RESPONSE)).verdict
    assert (verdict.critic, verdict.refusal, verdict.score, verdict.harm) == ("judge", "none", 0.25, None)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ("None", "critique returned NoneType; expected a dict with fields of a Verdict"),
        ("{'score': 7}", "judge: no verdict: score: Input should be less than or equal to 1"),
        ("{'points': 1}", "points: Extra inputs"),
        ("1 / 0", r"judge\.py:3: ZeroDivisionError"),
    ],
)
async def test_a_critic_without_a_verdict_drops_the_reply(tmp_path: Path, result: str, said: str) -> None:
    put(
        tmp_path, f"class Judge:\n    async def critique(self, messages, reply):\n        return {result}\n", "judge.py"
    )
    with pytest.raises(DropError, match=said):
        await load_critic(PluginOptions(path="judge.py"), tmp_path).critique(RESPONSE)


def test_a_critic_that_takes_no_options_refuses_them(tmp_path: Path) -> None:
    put(tmp_path, "\nclass Judge:\n    def critique(self, messages, reply): ...\n", "judge.py")
    with pytest.raises(PromptFileError, match=r"judge\.py:2: Judge takes no options"):
        load_critic(PluginOptions(path="judge.py", options={"a": 1}), tmp_path)
    with pytest.raises(PromptFileError, match=r"judge\.py:1: no class with a method attack"):
        resolve("judge.py", tmp_path)
