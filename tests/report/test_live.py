"""The page of a run that goes on elsewhere: where the run is, when the page is made anew, who is let in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from superalign.loop.round_log import ProgressNotes
from superalign.protocols import PoolStats
from superalign.report.live import HOST, LivePage, make_app
from superalign.review.access import Access
from superalign.store.atomic import write_json
from superalign.store.journal import Events
from superalign.store.round_folder import HOLDER
from superalign.store.run_folder import RunFolder
from tests.cli.toy import ROOT, make_run
from tests.report.reading import Page
from tests.standalone.test_evaluate_models import Silent

HOLDS = {"pid": os.getpid(), "host": os.uname().nodename}


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_run(tmp_path / "toy")


@contextmanager
def followed(run: Path, scratch: Path) -> Iterator[LivePage]:
    with RunFolder.open(run, read_only=True) as folder:
        yield LivePage(folder, scratch)


def contents(run: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*") if path.is_file()}


def noted(run: Path, kind: str, **payload: Any) -> None:
    events = Events(run / "events.jsonl")
    events.append(kind, **payload)
    events.close()


def test_it_says_where_the_run_is(toy: Path, tmp_path: Path) -> None:
    with followed(toy, tmp_path) as live:
        before = live.status()
        assert (before["round"], before["rounds"], before["phase"]) == (3, 3, "")
        assert (before["running"], before["finished"]) == (False, False)
        assert before["elapsed_s"] == pytest.approx(61 + 2 * 372.6)
        write_json(toy / HOLDER, HOLDS)
        noted(toy, "phase_start", round=3, name="attack", units=40, done=10)
        events = (toy / "events.jsonl").read_text().splitlines()
        began = json.loads(events[-1])["time"]
        for seconds, done, tokens in ((0.0, 10, 100), (10.0, 20, 1100)):
            payload = {"round": 3, "name": "attack", "units": 40, "done": done, "note": "", "tokens": tokens}
            with (toy / "events.jsonl").open("a") as file:
                file.write(json.dumps({"time": began - 30 + seconds, "kind": "progress", "payload": payload}) + "\n")
        now = live.status()
        assert (now["phase"], now["done"], now["total"], now["running"]) == ("attacks, answers, verdicts", 20, 40, True)
        noted(toy, "phase", round=3, name="attack", seconds=50.0, tokens=9, units=40)
        after = live.status()
        assert (after["phase"], after["total"], after["left_s"]) == ("", None, None)
        assert after["elapsed_s"] == pytest.approx(before["elapsed_s"] + 50, abs=1)


def test_rate_and_time_left_are_those_of_the_phase_in_hand(toy: Path, tmp_path: Path) -> None:
    write_json(toy / HOLDER, HOLDS)
    now = time.time()
    for at, done, tokens in ((now - 20, 10, 500), (now - 10, 20, 1500), (now, 30, 2500)):
        payload = {"round": 3, "name": "train", "units": 40, "done": done, "note": "sft loss 0.5", "tokens": tokens}
        with (toy / "events.jsonl").open("a") as file:
            file.write(json.dumps({"time": at, "kind": "progress", "payload": payload}) + "\n")
    with followed(toy, tmp_path) as live:
        status = live.status()
    assert (status["note"], status["tokens_per_s"]) == ("sft loss 0.5", pytest.approx(100, abs=1))
    assert status["left_s"] == pytest.approx(10, abs=2)
    assert status["phase_s"] == pytest.approx(20, abs=2)


def test_the_page_is_made_anew_when_a_step_has_ended_and_nothing_is_written_into_the_run(
    toy: Path, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    before = contents(toy)
    with followed(toy, scratch) as live:
        first, version = live.page().stat().st_mtime_ns, live.status()["version"]
        assert live.page().stat().st_mtime_ns == first
        assert (live.status()["version"], contents(toy)) == (version, before)
        write_json(toy / "rounds/003/attack_notes.json", {})
        assert live.status()["version"] != version
        assert live.page().stat().st_mtime_ns > first
    page = Page(live.page())
    assert ("div", "live") in [(tag, attributes.get("id")) for tag, attributes in page.tags]
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert "connect-src 'self'" in str(policy)
    assert len(page.scripts) == 2
    assert contents(toy).keys() == before.keys() | {str(toy / "rounds/003/attack_notes.json")}


def test_a_run_that_has_only_begun_has_a_page_and_a_status(tmp_path: Path) -> None:
    with (
        RunFolder.create(tmp_path / "run", "name: x\n", {"name": "x", "rounds": 3}) as folder,
        followed(tmp_path / "run", tmp_path) as live,
    ):
        notes = ProgressNotes(Silent(), Events(folder.events))
        notes.phase(0, "start", None)
        assert "The base model is being measured" in live.page().read_text("utf-8")
        status = live.status()
        assert (status["phase"], status["round"], status["running"]) == ("starting the engine", 0, True)


def test_progress_is_noted_at_once_and_then_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("superalign.loop.round_log.time.monotonic", lambda: clock[0])
    notes = ProgressNotes(Silent(), Events(tmp_path / "events.jsonl"))
    notes.watch(lambda: PoolStats(generated_tokens=7))
    notes.phase(1, "attack", 9, 2)
    for _ in range(5):
        clock[0] += 0.9
        notes.advance()
    notes.phase(1, "train", None)
    clock[0] += 3
    notes.training({"stage": "sft", "step": 4, "steps": 8, "loss": 0.25})
    notes.phase_done(1.0, 2)
    notes.notice("told")
    payloads = [json.loads(line)["payload"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [(p["name"], p["done"], p["units"], p["note"]) for p in payloads] == [
        ("attack", 2, 9, ""), ("attack", 5, 9, ""), ("train", 0, None, ""), ("train", 4, 8, "sft loss 0.250"),
    ]  # fmt: skip
    assert {p["tokens"] for p in payloads} == {7}


def test_only_who_has_the_token_is_let_in(toy: Path, tmp_path: Path) -> None:
    access = Access(HOST, 8000)
    with followed(toy, tmp_path) as live:
        client = TestClient(make_app(live, access), base_url=f"http://{HOST}:8000", follow_redirects=False)
        assert [client.get(path).status_code for path in ("/", "/status", "/?token=no")] == [403] * 3
        assert client.get(f"/?token={access.token}").status_code == 303
        page = client.get("/")
        assert (page.status_code, page.headers["content-type"][:9]) == (200, "text/html")
        assert page.headers["content-security-policy"] == "frame-ancestors 'none'"
        assert client.get("/status").json()["rounds"] == 3
        assert client.get("/status", headers={"host": "evil.example"}).status_code == 403
        (toy / "rounds/002/attack.json").write_text("{}")
        assert client.get("/").status_code == 503


def test_the_command_serves_until_ctrl_c(toy: Path) -> None:
    before = contents(toy)
    process = subprocess.Popen(
        [sys.executable, "-c", "from superalign.cli.main import main; main()", "report", str(toy), "--live"],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith(f"http://{HOST}:")
        with httpx.Client(base_url=address.partition("/?")[0], timeout=60, follow_redirects=True) as client:
            assert "What the gate decided" in client.get(address).text
            assert client.get("/status").json()["round"] == 3
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert "Traceback" not in (process.stderr.read() if process.stderr else "")
    finally:
        process.kill()
        process.wait(30)
    assert contents(toy) == before
