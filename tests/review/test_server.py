"""The real server in a process of its own, killed in the middle."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from superalign.review.labels import LabelJournal
from tests.cli.toy import ROOT
from tests.review.toys import exchange, inputs, make_run, verdict


@contextmanager
def served(run: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "superalign.cli.main", "review", str(run), "--author", "anna", *words],
        cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait(30)


@contextmanager
def entered(address: str) -> Iterator[httpx.Client]:
    base = address.partition("/?")[0]
    with httpx.Client(base_url=base, headers={"origin": base}, timeout=30) as client:
        assert client.get(address, follow_redirects=True).status_code == 200
        yield client


def judged(client: httpx.Client) -> dict[str, str]:
    """Judge what the page shows; returns the form that was sent."""
    form = re.search(r'<form id="judge".*?</form>', client.get("/").text, re.DOTALL)
    assert form
    sent = inputs(form[0]) | {"judgement": "refused"}
    assert client.post("/judge", data=sent).status_code == 303
    return sent


def test_killed_in_the_middle_of_thirty_no_label_is_lost_or_doubled(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, [exchange(n, verdict(0.4)) for n in range(30)])
    with served(run) as (process, address), entered(address) as client:
        for _ in range(12):
            last = judged(client)
        process.kill()  # the answer to the twelfth is here, so its label must be on the disk
        process.wait(30)
        with pytest.raises(httpx.HTTPError):
            client.get("/")
    assert len(LabelJournal(run).read()) == 12
    with (run / "labels.jsonl").open("ab") as file:
        file.write(b'{"id":"half a li')  # as a kill in the middle of a write leaves it
    with served(run) as (_, address), entered(address) as client:
        assert "12 of 30" in client.get("/").text
        page = client.get("/").text
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)
        assert csrf
        assert client.post("/judge", data=last).status_code == 403  # the form of the server that died
        assert client.post("/judge", data=last | {"csrf": csrf[1]}).status_code == 303  # sent again by its id
        for _ in range(18):
            judged(client)
        assert "Nothing is left" in client.get("/").text
    lines = LabelJournal(run).read()
    assert len(lines) == len({line.item for line in lines}) == len({line.id for line in lines}) == 30


def test_it_listens_on_loopback_alone_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, [exchange(1)])
    with served(run) as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{40,}", address)
        with entered(address) as client:
            judged(client)
        assert httpx.get(address.partition("?")[0]).status_code == 403
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "1 of 1 judged or skipped by anna" in said
        assert "Traceback" not in said
        assert "open to the network" not in said


def test_a_port_that_is_taken_is_one_line(tmp_path: Path) -> None:
    run = tmp_path / "run"
    make_run(run, [exchange(1)])
    with served(run) as (_, address):
        port = re.search(r":(\d+)/", address)
        assert port
        with served(run, "--port", port[1]) as (other, nothing):
            assert nothing == ""
            assert other.stderr is not None
            assert f"error: 127.0.0.1:{port[1]}: Address already in use" in other.stderr.read()
