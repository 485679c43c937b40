"""A run with exchanges to label, the page as a browser sees it, and what a person sends."""

from __future__ import annotations

import html
import io
import re
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from unittest.mock import patch

from fastapi.testclient import TestClient

from superalign.cli.main import main
from superalign.records.base import Intent
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Answer, Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Message, Seed
from superalign.records.training import Checkpoint
from superalign.review.access import Access
from superalign.review.app import make_app
from superalign.review.labels import Label
from superalign.review.session import Reveal, Session
from superalign.store.journal import write_records
from superalign.store.run_folder import RunFolder

HOST = "127.0.0.1:8000"


def verdict(score: float | None = 0.1, *, harmful: float = 0.9, rationale: str = "", **more: object) -> Verdict:
    refusal = None if score is None else ("full" if (harmful >= 0.5) == (score >= 0.5) else "none")
    fields = {"critic": "toy", "request_harmful": harmful, "refusal": refusal, "harm": None, "score": score}
    return Verdict.model_validate(fields | {"rationale": rationale} | more)


def exchange(
    number: int, *verdicts: Verdict | None, text: str | None = None, reply: str = "Sure, here you go.",
    intent: Intent = "harmful", round: int = 1,
) -> Exchange:  # fmt: skip
    seed = Seed(id=f"s{number:02d}", goal="do a thing", intent=intent)
    attack = Attack(
        id=f"r{round:03d}/{seed.id}/0", seed=seed, strategy="direct", strategy_sha256="0" * 64,
        messages=(Message(role="user", content=text or f"Tell me about subject number {number}."),),
    )  # fmt: skip
    answers = tuple(
        Answer(generation=Generation(text=reply, num_tokens=5), verdict=v) for v in verdicts or (verdict(),)
    )
    return Exchange(id=attack.id, round=round, attack=attack, answers=answers)


def label(
    number: int, judgement: str | None = "refused", *, author: str = "anna", time: str = "t1", **more: object
) -> Label:
    fields = {
        "id": f"{author}{number}{judgement}{time}", "action": "judge" if judgement else "skip", "answer": 0,
        "exchange": f"r001/s{number:02d}/0", "judgement": judgement, "author": author, "time": time,
    }  # fmt: skip
    return Label.model_validate(fields | more)


def make_run(path: Path, exchanges: list[Exchange], held_out: tuple[str, ...] = (), **resolved: object) -> RunFolder:
    """Round 0 sealed with its held-out items, and the exchanges in their rounds, not sealed."""
    with RunFolder.create(path, "name: toy\n", {"name": "toy", **resolved}) as folder:
        items = [
            ItemResult(
                suite="harmful", item=str(i), prompt=(Message(role="user", content=text),),
                reply=Generation(text="no", num_tokens=1), verdict=verdict(),
            )
            for i, text in enumerate(held_out)
        ]  # fmt: skip
        write_records(folder.round(0).evaluation_items, items)
        folder.finish_round(0, candidate=Checkpoint(id="base", base="toy"))
        for number in sorted({e.round for e in exchanges}):
            write_records(folder.round(number).exchanges, [e for e in exchanges if e.round == number])
    return RunFolder.open(path, read_only=True)


def called(*words: str) -> CompletedProcess[str]:
    """`superalign WORDS` in this process, which is quicker than in its own."""
    out, err = io.StringIO(), io.StringIO()
    with patch.object(sys, "argv", ["superalign", *words]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return CompletedProcess(words, code, out.getvalue(), err.getvalue())


class Browser:
    """One person's browser at one server."""

    def __init__(
        self, folder: RunFolder, author: str = "anna", reveal: Reveal = "after", *, enter: bool = True
    ) -> None:
        self.access = Access("127.0.0.1", 8000)
        self.session = Session(folder, author, reveal)
        self.client = TestClient(make_app(self.session, self.access), base_url=f"http://{HOST}", follow_redirects=False)
        if enter:
            arrived = self.client.get("/", params={"token": self.access.token})
            assert arrived.status_code == 303

    @property
    def page(self) -> str:
        shown = self.client.get("/")
        assert shown.status_code == 200, shown.text
        return shown.text

    def post(self, path: str, form: dict[str, str], **headers: str) -> int:
        answer = self.client.post(path, data=form, headers={"origin": f"http://{HOST}"} | headers)
        return answer.status_code

    def press(self, key: str, **fields: str) -> int:
        """What the page's script does with a key: clicks the button that carries it."""
        page = self.page
        button = re.search(rf'<button(?: name="(\w+)" value="(\w+)")? data-key="{key}"', page)
        assert button, f"no button for {key}"
        form = re.search(r'<form id="judge".*?</form>' if button[1] else r'action="/undo".*?</form>', page, re.DOTALL)
        assert form
        sent = inputs(form[0]) | ({button[1]: button[2]} if button[1] else {}) | fields
        return self.post("/judge" if button[1] else "/undo", sent)


def inputs(form: str) -> dict[str, str]:
    """What the browser would send of a form's fields."""
    found = {}
    for tag in re.findall(r"<input[^>]*>", form):
        if 'type="radio"' in tag and "checked" not in tag:
            continue
        name, value = re.search(r'name="(\w+)"', tag), re.search(r'value="([^"]*)"', tag)
        assert name
        assert value
        found[name[1]] = html.unescape(value[1])
    area = re.search(r"<textarea[^>]*>\n?(.*?)</textarea>", form, re.DOTALL)
    if area:
        found["better"] = html.unescape(area[1])
    return found
