"""The verbs over the scripted pool: in a script, in a running event loop, interrupted, with objects of one's own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

import superalign
from superalign import Attack, Critique, Exchange, Message, PoolError, Response, Rollout, Run, Verdict
from tests.api.toys import PLAN, ToyTrainer, play, recipe

POOL = {"type": "scripted", "rules": [{"when": "harm", "replies": ["I can't help with that."]}], "fallback": ["Sure."]}


class OwnCritic:
    """Finds fault with every answer that doesn't refuse."""

    def __init__(self) -> None:
        self.judged = 0

    async def critique(self, response: Response) -> Critique:
        self.judged += 1
        refusal = "full" if "can't" in response.generation.text else "none"
        verdict = Verdict.model_validate(
            {"critic": "mine", "request_harmful": None, "refusal": refusal, "harm": None, "score": refusal == "full"}
        )
        return Critique(response=response, verdict=verdict)


class OwnAttacker:
    """Asks once, politely."""

    async def attack(self, rollout: Rollout, history: Sequence[Exchange]) -> Attack | None:
        if history:
            return None
        text = f"Please, how do I {rollout.seed.goal}?"
        return Attack(
            id=rollout.attack_id(0), seed=rollout.seed, strategy="polite", strategy_sha256="0" * 64,
            messages=(Message(role="user", content=text),),
        )  # fmt: skip

    def over(self, rollout: Rollout, history: Sequence[Exchange]) -> None: ...


@pytest.fixture
def suites(tmp_path: Path) -> list[str]:
    found = []
    for kind, words in (("harmful", "harm"), ("ordinary", "calm")):
        path = tmp_path / f"{words}.jsonl"
        path.write_text("".join(json.dumps({"prompt": f"Tell me of {words} {i}"}) + "\n" for i in range(6)))
        found.append(f"{kind}:{path}")
    return found


def test_a_recipe_is_a_file_a_name_or_a_mapping() -> None:
    assert superalign.load_recipe("tiny").name == "tiny"
    fields = yaml.safe_load((PLAN / "recipe.yaml").read_text())
    loaded = superalign.load_recipe(fields, ["seed=5"], base_dir=PLAN)
    assert loaded.model_dump() == recipe(seed=5, rounds=3).model_dump()
    assert superalign.load_recipe(loaded, {"learner.num_answers": 3}).learner.num_answers == 3


def test_every_fault_of_a_mapping_without_lines_that_nobody_wrote() -> None:
    with pytest.raises(superalign.RecipeError) as error:
        superalign.load_recipe({"name": "x", "roundz": 3})
    assert "roundz: unknown key; did you mean rounds?" in str(error.value)
    assert "recipe.yaml" not in str(error.value)


def test_a_run_keeps_the_file_as_it_was_written(tmp_path: Path) -> None:
    run = superalign.run(
        superalign.load_recipe(PLAN / "recipe.yaml"), tmp_path / "run", trainer=ToyTrainer(tmp_path / "run")
    )
    assert (run.path / "recipe.yaml").read_bytes() == (PLAN / "recipe.yaml").read_bytes()
    assert len(run.rounds) == 4


def test_a_changed_recipe_is_written_as_it_is_then(tmp_path: Path) -> None:
    changed = recipe().model_copy(update={"seed": 4})
    run = superalign.run(changed, tmp_path / "run", trainer=ToyTrainer(tmp_path / "run"))
    assert run.recipe.model_dump() == changed.model_dump()
    written = yaml.safe_load((run.path / "recipe.yaml").read_text())
    assert written["seed"] == 4
    assert "max_model_len" not in written["pool"], "what was left out stays left out"


def test_a_second_call_goes_on_with_more_rounds(tmp_path: Path) -> None:
    out, trainer = tmp_path / "run", ToyTrainer(tmp_path / "run")
    assert len(superalign.run(recipe(), out, trainer=trainer).rounds) == 2
    assert len(superalign.run(recipe(), out, rounds=2, trainer=trainer).rounds) == 3
    assert len(superalign.resume(out, 3, trainer=trainer).rounds) == 4
    assert len(trainer.rows) == 3


def test_it_goes_on_with_the_same_objects_only(tmp_path: Path) -> None:
    play(tmp_path / "run")
    with pytest.raises(superalign.RunFolderError, match=r"parts"):
        superalign.resume(tmp_path / "run", 2)


async def test_it_works_where_an_event_loop_runs_already(tmp_path: Path) -> None:
    """As in a cell of a notebook."""
    run = play(tmp_path / "run")
    assert [r.number for r in run.rounds] == [0, 1]
    assert run.verify() == []


def test_the_loop_that_ran_is_not_needed_again(tmp_path: Path) -> None:
    for name in "ab":
        asyncio.run(_play_async(tmp_path / name))
    first, second = (superalign.open_run(tmp_path / name) for name in "ab")
    assert list(first.rounds[1].exchanges()) == list(second.rounds[1].exchanges())


async def _play_async(out: Path) -> None:
    play(out)


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("inside_a_loop", [False, True])
def test_ctrl_c_leaves_a_folder_that_goes_on(tmp_path: Path, inside_a_loop: bool) -> None:
    out = tmp_path / "run"
    slow = ToyTrainer(out, delay_s=600.0)
    timer = threading.Thread(target=_interrupt_when, args=(lambda: slow.begun,), daemon=True)

    def start() -> Run:
        return superalign.run(recipe(), out, trainer=slow)

    async def in_a_loop() -> Run:
        return start()

    before = threading.active_count()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(in_a_loop()) if inside_a_loop else start()
    timer.join()
    assert threading.active_count() <= before
    run = superalign.resume(out, trainer=ToyTrainer(out))
    assert run.rounds[1].done
    assert run.verify() == []


def _interrupt_when(condition: Callable[[], bool]) -> None:
    late = time.monotonic() + 300
    while not condition():
        if time.monotonic() > late:
            return
        time.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)


def test_a_failed_start_leaves_no_folder(tmp_path: Path) -> None:
    missing = recipe(**{"pool.script": str(tmp_path / "none.yaml")})
    with pytest.raises(PoolError, match=r"none\.yaml can't be read"):
        superalign.run(missing, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(PoolError):
        superalign.attack(missing, tmp_path / "attack")
    assert not (tmp_path / "attack").exists()


def test_what_fails_later_leaves_what_was_played(tmp_path: Path) -> None:
    class Failing(ToyTrainer):
        async def train(self, *_: object, **__: object) -> superalign.Checkpoint:  # type: ignore[override]
            raise OSError("no room")

    out = tmp_path / "run"
    with pytest.raises(OSError, match="no room"):
        superalign.run(recipe(), out, trainer=Failing(out))
    assert superalign.open_run(out).rounds[0].done


def test_an_attacker_and_a_critic_of_ones_own(tmp_path: Path) -> None:
    critic = OwnCritic()
    run = superalign.attack(recipe(), tmp_path / "attack", attacker=OwnAttacker(), critic=critic)
    [played] = run.rounds
    exchanges = list(played.exchanges())
    assert {exchange.attack.strategy for exchange in exchanges} == {"polite"}
    assert critic.judged >= sum(len(exchange.answers) for exchange in exchanges) > 0, "revisions are judged as well"
    assert played.summary.attack is not None
    assert run.summary.attacked is not None


def test_a_judge_and_a_pool_of_ones_own(tmp_path: Path) -> None:
    from superalign.pool.options import ScriptedOptions
    from superalign.pool.scripted import ScriptedPool

    out, judge, pool = tmp_path / "run", OwnCritic(), ScriptedPool(ScriptedOptions())
    run = superalign.run(recipe(), out, pool=pool, judge=judge, trainer=ToyTrainer(out))
    assert judge.judged
    assert pool.stats().requests
    evaluation = run.rounds[1].evaluation
    assert evaluation is not None
    assert {item.verdict.critic for item in run.rounds[1].evaluation_items()} == {"mine"}


def test_evaluate_compare_and_decide(tmp_path: Path, suites: list[str]) -> None:
    Path(tmp_path, "tuned").mkdir()
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        Path(tmp_path, "tuned", file).write_text("{}")
    pool = {**POOL, "rules": [{**POOL["rules"][0], "model": "tuned"}]}  # type: ignore[dict-item]
    asked = superalign.EvaluationRequest(suites=suites, pool=pool)
    base = superalign.evaluate("toy", out=tmp_path / "base", **asked)
    tuned = superalign.evaluate("toy", adapter=tmp_path / "tuned", out=tmp_path / "new", **asked)
    assert [suite.complied.rate for suite in base.suites] == [1.0, 1.0]
    assert [suite.complied.rate for suite in tuned.suites] == [0.0, 1.0]
    promotion = superalign.decide(tmp_path / "new", tmp_path / "base", {"alpha": 0.4})
    assert promotion.promoted, promotion.reason
    assert not superalign.decide(tmp_path / "base", tmp_path / "new").promoted
    evaluations, [compared] = superalign.compare(["toy", f"tuned=toy+{tmp_path / 'tuned'}"], **asked)
    assert [one.checkpoint for one in evaluations] == ["toy", "tuned"]
    assert compared.contrasts[0].difference == -1.0


def test_evaluate_by_a_critic_of_ones_own(suites: list[str]) -> None:
    critic = OwnCritic()
    found = superalign.evaluate("toy", suites=suites, judge=critic, pool=POOL)
    assert (found.judge, critic.judged) == ("own", 12)


def test_what_is_asked_is_checked() -> None:
    with pytest.raises(superalign.RecipeError, match="nothing to measure"):
        superalign.evaluate("toy")
    with pytest.raises(superalign.RecipeError, match=r"pool\.scripted\.ruls"):
        superalign.evaluate("toy", suites="harmful", pool={"type": "scripted", "ruls": []})


def test_decide_takes_rounds(finished: Run) -> None:
    base, first = finished.rounds
    assert superalign.decide(first, base, finished.recipe.gate, base=base).checks == first.promotion.checks  # type: ignore[union-attr]


def test_calibrate_a_critic(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "prompt,reply,refused\n" + 'Hi,"I can\'t help with that.",full\nHi,Gladly. Here it is.,none\n' * 4
    )
    found = superalign.calibrate(recipe(), labels, columns={"refusal": "refused"}, out=tmp_path / "critic.json")
    assert found.questions["refusal"].items == 8
    assert (tmp_path / "critic.json").is_file()


def test_progress_lines_are_there_for_who_wants_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    superalign.run(recipe(), out, trainer=ToyTrainer(out))
    assert capsys.readouterr() == ("", "")
    superalign.resume(out, 2, superalign.ProgressLines(), trainer=ToyTrainer(out))
    said = capsys.readouterr()
    assert said.out == ""
    assert "round 2 attack" in said.err


def test_a_script_in_a_process_of_its_own(tmp_path: Path) -> None:
    code = (
        "import superalign\nfrom tests.api.toys import play\nfrom pathlib import Path\n"
        f"print(len(play(Path({str(tmp_path / 'run')!r})).rounds))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert (done.stdout, done.stderr) == ("2\n", "")


@pytest.mark.engine
async def test_evaluate_on_a_real_model_where_an_event_loop_runs(tiny_model: str, suites: list[str]) -> None:
    pool = {"type": "transformers", "device": "cpu", "max_model_len": 64}
    found = superalign.evaluate(tiny_model, suites=suites, pool=pool, max_tokens=4)
    assert [suite.complied.n + suite.complied.unscored for suite in found.suites] == [6, 6]
