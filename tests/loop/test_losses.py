"""What fails or is thrown away inside a round: counted, shown, and never the end of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from superalign.analysis.summary import RunSummary, summarise
from superalign.assembly import plan as build
from superalign.assembly.plan import Plan
from superalign.cli.progress import ProgressLines
from superalign.config.recipe import load_recipe
from superalign.errors import TrainingError
from superalign.loop.orchestrator import Loop
from superalign.protocols import Critic, DropError
from superalign.records.evaluation import Promotion
from superalign.records.exchange import Critique
from superalign.records.rollout import Response
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.store.manifest import verify
from superalign.store.round_folder import read_record
from superalign.store.run_folder import RunFolder
from tests.loop.conftest import Whole
from tests.loop.toys import PLAN, RECIPE, Fate, contents, finished, resume, run


def test_a_failing_training_refuses_its_round_and_no_other(whole: Whole, tmp_path: Path) -> None:
    reason = "the loss is no number at step 2"
    sitting = run(tmp_path, Fate(child="fail 002"))
    assert sitting.code == 0, sitting.said
    assert f"round 2: training gave no candidate, round-001 stays: {reason}" in sitting.said
    with RunFolder.open(tmp_path / "run", read_only=True) as folder:
        rounds = summarise(folder).rounds
        third = folder.checkpoint(3)
    assert [r.promotion.promoted for r in rounds if r.promotion] == [True, False, True]
    assert rounds[2].promotion is not None
    assert reason in rounds[2].promotion.reason
    assert rounds[2].evaluation is None
    assert third.parent == "round-001"
    first = "rounds/003/exchanges.jsonl"
    assert contents(tmp_path / "run")[first] == whole.bytes[first]
    assert verify(tmp_path / "run") == []


def test_a_training_that_failed_is_not_tried_again_when_its_round_was_being_sealed(tmp_path: Path) -> None:
    assert run(tmp_path, Fate("after rounds/002/promotion.json", child="fail 002")).killed
    done = finished(tmp_path / "run")
    sitting = resume(tmp_path)
    assert sitting.code == 0, sitting.said
    assert "train 002" not in sitting.asked()
    assert done & set(sitting.asked()) == set()
    assert not (tmp_path / "run/rounds/002/checkpoint.json").exists()
    assert verify(tmp_path / "run") == []


def test_a_killed_training_stops_the_run_and_resume_goes_on(whole: Whole, tmp_path: Path) -> None:
    sitting = run(tmp_path, Fate(child="die 002"))
    assert sitting.code == 1
    assert "the training process was killed (SIGKILL), most likely for want of memory" in sitting.said
    assert "resume goes on" in sitting.said
    assert "train 002" in resume(tmp_path).asked()
    assert contents(tmp_path / "run") == whole.bytes


class Moody:
    """A critic that gives no verdict where the request holds a word."""

    def __init__(self, critic: Critic, word: str) -> None:
        self.critic, self.word = critic, word

    async def critique(self, response: Response) -> Critique:
        if self.word in response.attack.messages[-1].content:
            raise DropError(f"speechless about {self.word}")
        return await self.critic.critique(response)


class Broken:
    """A trainer that never succeeds."""

    async def train(
        self, demonstrations: Sequence[Demonstration], pairs: Sequence[PreferencePair], parent: Checkpoint, round: int
    ) -> Checkpoint:
        raise TrainingError(f"{len(demonstrations)} demonstrations and {len(pairs)} pairs were too many", "try less")


@contextmanager
def new_folder(path: Path) -> Iterator[RunFolder]:
    with RunFolder.create(path, "name: losses\n", {"name": "losses"}) as folder:
        yield folder


async def played(path: Path, change: Any) -> RunSummary:
    """The summary of one round of the plan, changed by `change(plan)`."""
    recipe, _ = load_recipe(RECIPE, ["rounds=1", "attacker.mix={reworded: 1}"])
    observer = ProgressLines(lambda number: None)
    with new_folder(path) as folder:
        async with build.staged(recipe, PLAN, folder, observer) as plan:
            plan.trainer = Broken()
            change(plan)
            await Loop(plan, folder, observer).run()
        return summarise(folder)


async def test_every_loss_is_counted_and_shown(tmp_path: Path) -> None:
    def change(plan: Plan) -> None:
        plan.uncalibrated = Moody(plan.uncalibrated, "chess")
        plan.evaluator.judge = Moody(plan.evaluator.judge, "berries")

    base, first = (await played(tmp_path / "run", change)).rounds
    assert first.attacks == 11
    assert first.dropped == {
        "attack: reworded: the attack has more than one line (1 tries)": 1,
        "critique: speechless about chess": 2,
        "pairing: no answer was scored": 1,
    }
    assert base.evaluation is not None
    harm = base.evaluation.suites[0]
    assert (harm.complied.n, harm.complied.unscored) == (3, 1)
    assert harm.complied.rate + harm.refused.rate == 1.0


async def test_a_broken_trainer_leaves_the_base(tmp_path: Path) -> None:
    summary = await played(tmp_path / "run", lambda plan: None)
    assert summary.current is not None
    assert summary.current.id == "base"
    decision = read_record(tmp_path / "run/rounds/001/promotion.json", Promotion)
    examples = [
        len((tmp_path / f"run/rounds/001/{name}.jsonl").read_bytes().splitlines())
        for name in ("demonstrations", "pairs")
    ]
    assert min(examples) > 3
    counts = f"{examples[0]} demonstrations and {examples[1]} pairs"
    assert decision.reason == f"training gave no candidate, base stays: {counts} were too many; try less"
