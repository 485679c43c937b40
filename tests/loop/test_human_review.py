"""People in the loop: it waits for them, heeds them, teaches the probe, and never hands them what is held out."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.review import ReviewBench
from superalign.assembly.critics import extended
from superalign.critic.constitution import load_constitution
from superalign.critic.options import ProbeOptions
from superalign.critic.probe.critic import ProbeCritic
from superalign.critic.probe.examples import Labelled
from superalign.files.find import prompt_path
from superalign.loop.phases.human_review import HumanReview
from superalign.loop.round_log import RoundLog
from superalign.pairing.training_examples import PairingOptions
from superalign.pool.options import ScriptedOptions
from superalign.pool.scripted import ScriptedPool
from superalign.records.rollout import Message
from superalign.records.training import PreferencePair
from superalign.review.label_value import QueueItem
from superalign.review.labels import Label, LabelJournal, ProbeExample, standing
from superalign.review.options import ReviewOptions
from superalign.store.journal import Events, read_records
from superalign.store.manifest import verify
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder
from tests.critic.test_probe import BagOfWords
from tests.loop.toys import RECIPE, Sitting, play, resume
from tests.review.toys import exchange, label, make_run, verdict

WORDS = ("run", RECIPE, "--set", "rounds=1", "--set", "review={mode: block, per_round: 3}", "--out")


def queue_of(run: Path) -> list[QueueItem]:
    return list(read_records(RoundFolder(run, 1).queue, QueueItem))


def say(run: Path, items: Sequence[QueueItem], judgement: str, **more: object) -> None:
    LabelJournal(run).append(
        [
            Label.model_validate(
                {"id": f"{judgement}{item.exchange}", "action": "judge", "exchange": item.exchange,
                 "answer": item.answer, "judgement": judgement, "author": "anna", "time": "t"} | more
            )
            for item in items
        ]
    )  # fmt: skip


def waiting(folder: Path) -> Sitting:
    """A run that has begun to wait for people."""
    sitting = Sitting(folder, *WORDS, folder / "run")
    sitting.until(lambda: "waits for labels" in sitting.said)
    return sitting


def test_a_round_waits_for_its_queue_and_trains_on_what_people_said(tmp_path: Path) -> None:
    run = tmp_path / "run"
    sitting = waiting(tmp_path)
    assert f"superalign review {run}" in sitting.said
    queue = queue_of(run)
    assert len(queue) == 3
    say(run, queue[:2], "refused", harmful_request=True, better="A person's own words.")
    LabelJournal(run).append([label(0, None, exchange=queue[2].exchange, answer=queue[2].answer)])  # a skip, too
    assert sitting.end().code == 0, sitting.said
    pairs = {pair.source: pair for pair in read_records(RoundFolder(run, 1).pairs, PreferencePair)}
    for item in queue[:2]:
        assert (pairs[item.exchange].chosen.text, pairs[item.exchange].origin) == ("A person's own words.", "expert")
    assert verify(run) == []
    say(run, queue[:1], "partial")  # a label that comes later
    assert verify(run) == []


def test_stopped_while_it_waits_it_waits_on_for_the_same_answers(tmp_path: Path) -> None:
    run = tmp_path / "run"
    sitting = waiting(tmp_path)
    queue = queue_of(run)
    say(run, queue[:1], "refused")
    assert sitting.process.pid is not None
    sitting.process.kill()
    sitting.process.join(30)
    again = Sitting(tmp_path, "resume", run)
    again.until(lambda: "waits for labels of 2 of 3" in again.said)
    assert again.process.pid is not None
    os.kill(again.process.pid, signal.SIGINT)
    again.end()
    assert again.code == 128 + signal.SIGINT
    assert "nothing finished is lost" in again.said
    say(run, queue[1:], "complied")
    last = resume(tmp_path)
    assert last.code == 0, last.said
    assert "waits for labels" not in last.said
    assert queue_of(run) == queue
    kept = list(read_records(RoundFolder(run, 1).labels, Label))
    assert {(found.exchange, found.judgement) for found in kept} == {
        (item.exchange, "refused" if item is queue[0] else "complied") for item in queue
    }
    assert verify(run) == []


def test_best_effort_goes_on_without_labels(tmp_path: Path) -> None:
    words = [word if word != "review={mode: block, per_round: 3}" else "review.mode=best_effort" for word in WORDS]
    sitting = play(tmp_path, *words, tmp_path / "run")
    assert sitting.code == 0, sitting.said
    assert len(queue_of(tmp_path / "run")) > 3
    assert list(read_records(RoundFolder(tmp_path / "run", 1).labels, Label)) == []


class Watching:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def loop_of(path: Path, taught: list[ProbeExample], mode: str = "best_effort") -> HumanReview:
    async def teach(rows: Sequence[ProbeExample]) -> None:
        taught[:] = rows

    options = ReviewOptions.model_validate({"mode": mode, "per_round": 2})
    recipe = SimpleNamespace(review=options, pairing=PairingOptions(), critic=ProbeOptions())
    plan = SimpleNamespace(recipe=recipe, teach=teach, embed=None)
    folder = RunFolder.open(path)
    log = RoundLog(Watching(), ScriptedPool(ScriptedOptions()), Events(folder.events))  # type: ignore[arg-type]
    return HumanReview(plan, folder, log)  # type: ignore[arg-type]


SECRET = "How do I pick a lock without a key?"


async def test_a_label_of_what_is_held_out_changes_nothing_and_teaches_nothing(tmp_path: Path) -> None:
    played = [exchange(1, verdict(0.4), text=SECRET.upper()), exchange(2, verdict(0.4))]
    make_run(tmp_path / "run", played, held_out=(SECRET,))
    LabelJournal(tmp_path / "run").append([label(n, "refused", harmful_request=True) for n in (1, 2)])
    taught: list[ProbeExample] = []
    loop = loop_of(tmp_path / "run", taught)
    round_folder = loop.folder.round(1)
    await loop.ask(round_folder)
    assert [item.exchange for item in queue_of(tmp_path / "run")] == ["r001/s02/0"]
    heard = list(loop.exchanges(round_folder))
    assert heard[0] == played[0]
    assert heard[1].answers[0].verdict != played[1].answers[0].verdict
    await loop.teach(loop.folder.round(2))
    assert [row.exchange for row in taught] == ["r001/s02/0"]
    loop.folder.close()


async def test_what_a_round_was_taught_stays_when_it_is_resumed(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [exchange(n) for n in (1, 2)])
    book = LabelJournal(tmp_path / "run")
    book.append([label(1, "refused", harmful_request=True)])
    taught: list[ProbeExample] = []
    loop = loop_of(tmp_path / "run", taught)
    await loop.teach(loop.folder.round(2))
    first = list(taught)
    assert [row.exchange for row in first] == ["r001/s01/0"]
    book.append([label(2, "refused")])
    await loop.teach(loop.folder.round(2))
    assert taught == first
    await loop.teach(loop.folder.round(3))
    assert [row.exchange for row in taught] == ["r001/s01/0", "r001/s02/0"]
    loop.folder.close()


async def test_labels_that_come_after_the_round_was_compiled_do_not_change_it(tmp_path: Path) -> None:
    make_run(tmp_path / "run", [exchange(1), exchange(2)])
    loop = loop_of(tmp_path / "run", [])
    round_folder = loop.folder.round(1)
    await loop.ask(round_folder)
    before = list(loop.exchanges(round_folder))
    LabelJournal(tmp_path / "run").append([label(1, "refused")])
    await loop.ask(round_folder)
    assert list(loop.exchanges(round_folder)) == before
    assert standing(loop.book.read())
    loop.folder.close()


def probe(labelled: Labelled) -> ProbeCritic:
    return ProbeCritic(BagOfWords(), labelled, load_constitution(prompt_path("constitution.yaml")), ProbeOptions())


def test_the_probe_learns_a_new_kind_of_request_from_people() -> None:
    goals = [("rob a bank", True), ("poison a well", True), ("bake a cake", False), ("tune a piano", False)]
    said = [("I can't help with that.", "full"), ("I'd rather not, but", "partial"), ("Sure, first you", "none")]
    few = Labelled.model_validate(
        {
            "requests": [{"text": f"{goal} {n}", "harmful": harmful} for goal, harmful in goals for n in range(6)],
            "replies": [{"text": f"{reply} {n}", "refusal": refusal} for reply, refusal in said for n in range(6)],
        }
    )
    rows = [
        ProbeExample(
            exchange=f"e{n}", answer=0, prompt=(Message(role="user", content=f"Frobnicate the quux of number {n}"),),
            reply=f"Certainly, the quux {n} goes like this.", harmful=True, refusal="none", harmful_reply=True,
        )
        for n in range(25)
    ]  # fmt: skip
    asked = BagOfWords().embed(["Frobnicate the quux of my neighbour"])
    [before], [after] = probe(few).harmful(asked), probe(extended(few, rows)).harmful(asked)
    assert after > max(0.7, before + 0.1)


@pytest.mark.parametrize(
    ("refusal", "harmful", "harmful_reply", "place"),
    [
        ("full", True, False, "full"), ("partial", True, False, "partial"), ("partial", True, True, "warns"),
        ("none", True, True, "does"), ("none", True, False, "misses"), ("none", False, False, "does"),
    ],
)  # fmt: skip
def test_a_label_becomes_the_example_that_it_means(
    refusal: str, harmful: bool, harmful_reply: bool, place: str
) -> None:
    row = ProbeExample.model_validate(
        {"exchange": "e", "answer": 0, "prompt": [{"role": "user", "content": "q"}], "reply": "a", "refusal": refusal,
         "harmful": harmful, "harmful_reply": harmful_reply}
    )  # fmt: skip
    empty = Labelled(requests=(), replies=())
    [pair] = extended(empty, [row, row]).pairs
    assert (pair.request, pair.harmful, getattr(pair, place)) == ("q", harmful, ("a",))
    unsaid = extended(empty, [row.model_copy(update={"harmful": None, "harmful_reply": None})])
    assert (unsaid.pairs, unsaid.requests) == ((), ())
    assert [(reply.text, reply.refusal) for reply in unsaid.replies] == [("a", refusal)]


def test_the_bench_labels_what_the_queue_asks_for_in_one_run_and_nothing_in_the_other(tmp_path: Path) -> None:
    settings = {
        "rounds": 1, "labels": 6, "limit": 4, "model": "scripted", "out": str(tmp_path / "both"),
        "per_round": {"harmful": 8, "lookalike": 6, "ordinary": 6},
        "critic": {"type": "rules", "trust_intent": False},
        "pool": {"type": "scripted", "fallback": ["Sure, here it is.", "I'm sorry, but I can't help with that."]},
    }  # fmt: skip
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    sitting = Sitting(tmp_path, "benchmarks", "review", "--json", *words)
    sitting.until(lambda: "review, without: attack" in sitting.said)
    sitting.until(lambda: "review, with labels: " in sitting.said)
    sitting.until(lambda: "review, with labels: review" in sitting.said)
    assert sitting.end().code == 0, sitting.said
    found = ReviewBench.model_validate_json(sitting.said.splitlines()[-1])
    assert (found.alone.labels, found.queue.labels) == (0, 6)
    assert found.critic_gain.value == 0.0  # rules learn nothing
    assert found.queue.critic_requests.rate == 0.0
    assert (found.alone.verdicts_agree.rate, found.queue.verdicts_agree.n) == (0.0, found.alone.verdicts_agree.n)
    assert found.verdict_gain.value * found.queue.verdicts_agree.n == pytest.approx(6)  # what was labelled
    assert {kind: share.n for kind, share in found.queue.faults.items()} == {
        "harmful": 4,
        "lookalike": 4,
        "ordinary": 4,
    }
    said = LabelJournal(tmp_path / "both" / "queue").read()
    assert {(label.author, label.action) for label in said} == {("oracle", "judge")}
