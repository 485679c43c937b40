"""The review page over HTTP: what it shows, what keys do, and whom it refuses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from superalign.files.hashes import sha256_bytes
from superalign.review.labels import Label, LabelJournal, standing
from superalign.store import manifest
from superalign.store.atomic import canonical
from tests.review.toys import HOST, Browser, exchange, inputs, label, make_run, verdict

QUOTING = 'It gives the thing away: "here you go, step by step".'


def browser(path: Path, count: int = 3, **more: object) -> Browser:
    played = [exchange(n, verdict(0.45), reply=f"Reply {n}: here you go, step by step.") for n in range(count)]
    return Browser(make_run(path / "run", played), **more)  # type: ignore[arg-type]


def counted(one: Browser) -> list[Label]:
    return [found for said in standing(one.session.journal.read()).values() for found in said.values()]


def test_thirty_answers_by_single_keys(tmp_path: Path) -> None:
    one = browser(tmp_path, 30)
    for done in range(30):
        assert f'<span id="count">{done} of 30</span>' in one.page
        assert one.press("123"[done % 3]) == 303
    assert "Nothing is left for anna: all 30" in one.page
    lines = one.session.journal.read()
    assert len(lines) == len({found.item for found in lines}) == 30
    assert sorted({str(found.judgement) for found in lines}) == ["complied", "partial", "refused"]
    assert manifest.verify(tmp_path / "run") == []


def test_a_label_says_who_when_and_what_was_shown(tmp_path: Path) -> None:
    one = browser(tmp_path, 1)
    one.press("1")
    [said] = counted(one)
    played = next(iter(one.session.queue.exchanges()))
    shown = {
        "messages": [m.model_dump(mode="json") for m in played.attack.messages],
        "reply": played.answers[0].generation.text,
        "verdict": None,
    }
    assert said.shown is not None
    assert (said.author, said.shown.verdict, said.shown.sha256) == ("anna", "after", sha256_bytes(canonical(shown)))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]+\+00:00", said.time)
    assert (said.harmful_request, said.harmful_reply, said.better) == (True, True, None)


def test_harm_is_what_the_person_says_it_is(tmp_path: Path) -> None:
    one = browser(tmp_path, 3)
    one.press("1", harmful_request="no")
    one.press("1", harmful_reply="no")
    one.press("3")
    said = [(s.harmful_request, s.harmful_reply) for s in one.session.journal.read()]
    assert said == [(False, False), (True, False), (True, False)]


def test_a_better_answer_counts_only_where_the_text_was_changed(tmp_path: Path) -> None:
    one = browser(tmp_path, 2)
    assert "here you go, step by step.</textarea>" in one.page
    one.press("1")
    one.press("1", better="No.\r\nBut I can <b>help</b>. ")
    assert [s.better for s in one.session.journal.read()] == [None, "No.\nBut I can <b>help</b>."]


def test_skip_leaves_no_judgement_and_the_answer_does_not_come_back(tmp_path: Path) -> None:
    one = browser(tmp_path, 1)
    assert one.press("s") == 303
    assert "Nothing is left" in one.page
    assert [(s.action, s.judgement) for s in counted(one)] == [("skip", None)]


def test_undo_brings_back_one_answer_after_the_other(tmp_path: Path) -> None:
    one = browser(tmp_path, 3)
    first = inputs(one.page)["exchange"]
    for key in "12":
        one.press(key)
    assert one.press("u") == 303
    assert one.press("u") == 303
    assert counted(one) == []
    assert first in one.page
    assert 'data-key="u"' not in one.page
    assert [s.action for s in one.session.journal.read()] == ["judge", "judge", "undo", "undo"]


def test_a_form_sent_twice_is_one_label(tmp_path: Path) -> None:
    one = browser(tmp_path, 2)
    form = inputs(re.search(r'<form id="judge".*?</form>', one.page, re.DOTALL)[0]) | {"judgement": "partial"}  # type: ignore[index]
    assert [one.post("/judge", form) for _ in range(2)] == [303, 303]
    assert len(one.session.journal.read()) == 1
    undo = inputs(re.search(r'action="/undo".*?</form>', one.page, re.DOTALL)[0])  # type: ignore[index]
    assert [one.post("/undo", undo) for _ in range(2)] == [303, 303]
    assert len(one.session.journal.read()) == 2


def test_the_verdict_comes_after_the_judgement_with_its_quotes_marked(tmp_path: Path) -> None:
    played = [exchange(1, verdict(0.1, rationale=QUOTING), reply="Sure: here you go, step by step.")]
    one = Browser(make_run(tmp_path / "run", played))
    assert "gives the thing away" not in one.page
    assert "<mark>" not in one.page
    one.press("3")
    after = one.page
    assert "gives the thing away" in after
    assert "<mark>here you go, step by step</mark>" in after
    assert "<details open>" in after  # for the two differ
    assert 'class="differs">critic: <b>complied</b>' in after


def test_the_verdict_comes_before_where_the_person_chose_so(tmp_path: Path) -> None:
    played = [exchange(1, verdict(0.1, rationale=QUOTING, better="No."), reply="Sure: here you go, step by step.")]
    one = Browser(make_run(tmp_path / "run", played), reveal="before")
    assert "<mark>here you go, step by step</mark>" in one.page
    assert "No.</textarea>" in one.page
    one.press("1")
    [said] = counted(one)
    assert said.shown is not None
    assert (said.shown.verdict, said.better) == ("before", None)


def test_two_people_see_the_same_answers_and_how_far_they_agree(tmp_path: Path) -> None:
    one = browser(tmp_path, 4)
    other = Browser(one.session.queue.folder, "ben")
    for mine, theirs in zip("1133", "1131", strict=True):
        one.press(mine)
        other.press(theirs)
    assert "anna and ben both judged 4: 75 % alike, Cohen&#39;s kappa 0.50" in one.page.replace(
        "Cohen's", "Cohen&#39;s"
    )
    assert len(counted(one)) == 8


def test_agreement_on_one_judgement_alone_has_no_kappa(tmp_path: Path) -> None:
    one = browser(tmp_path, 2)
    LabelJournal(one.session.queue.folder.path).append([label(n, author=a) for n in (0, 1) for a in ("anna", "ben")])
    assert "kappa undefined (only one judgement occurs)" in one.page


HOSTILE = (
    '</textarea></pre><script>alert(1)</script><img src=x onerror=alert(2)> {{ 7*7 }} "here you go, step by step" '
    "\u202egnp.exe\u202c \x1b[2J\x00 <a href=javascript:alert(3)>x</a>"
)


def test_a_models_text_stays_text(tmp_path: Path) -> None:
    wicked = verdict(0.1, rationale=HOSTILE, critic=HOSTILE, better=HOSTILE)
    played = [
        exchange(n, wicked, text=f"{n} {HOSTILE}", reply=f"{n} {HOSTILE} here you go, step by step") for n in (1, 2)
    ]
    one = Browser(make_run(tmp_path / "run", played, name=f"run {HOSTILE}"), author="<i>anna", reveal="before")
    for _ in range(2):
        page = one.page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
        for tag in ("<script>", "<img", "<a ", "<i>anna", "\u202e", "\x1b", "\x00"):
            assert tag not in page, tag
        assert "{{ 7*7 }}" in page
        assert page.count("</textarea>") == 1
        assert page.count("<script") == 1
        assert "\\u202egnp.exe" in page
        one.press("1")


def test_no_page_allows_a_script_of_its_own_or_a_frame(tmp_path: Path) -> None:
    answer = browser(tmp_path).client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert not re.search(r"<script(?! src=)|\son\w+=|style=", answer.text)
    assert answer.headers["cache-control"] == "no-store"


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(tmp_path: Path) -> None:
    one = browser(tmp_path, enter=False)
    assert one.client.get("/").status_code == 403
    assert one.client.get("/", params={"token": "wrong"}).status_code == 403
    assert one.client.get("/static/keys.js").status_code == 403
    arrived = one.client.get("/", params={"token": one.access.token})
    assert (arrived.status_code, arrived.headers["location"]) == (303, "/")
    cookie = arrived.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert one.client.get("/").status_code == 200
    assert one.access.token not in one.page


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"}, {"origin": "null"}, {"origin": f"https://{HOST}"},
        {"origin": "http://127.0.0.1:9999"}, {"host": "evil.example:8000", "origin": "http://evil.example:8000"},
        {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"host": "127.0.0.1.evil.example"},
    ],
    ids=str,
)  # fmt: skip
def test_another_site_is_refused_even_with_the_cookie(tmp_path: Path, headers: dict[str, str]) -> None:
    one = browser(tmp_path)
    form = inputs(one.page) | {"judgement": "refused"}
    assert one.post("/judge", form, **headers) == 403
    assert one.client.get("/", headers=headers).status_code == 403
    assert one.session.journal.read() == []


def test_a_form_without_origin_or_secret_is_refused(tmp_path: Path) -> None:
    one = browser(tmp_path)
    form = inputs(one.page) | {"judgement": "refused"}
    assert one.client.post("/judge", data=form).status_code == 403
    for secret in ("", "wrong", "\u00e4", one.access.token):
        assert one.post("/judge", form | {"csrf": secret}) == 403
        assert one.post("/undo", form | {"csrf": secret}) == 403
    assert one.session.journal.read() == []


@pytest.mark.parametrize(
    "change",
    [
        {"judgement": "perhaps"}, {"judgement": ""}, {"harmful_request": "maybe"}, {"answer": "1"}, {"answer": "-1"},
        {"answer": "x"}, {"exchange": "r001/other/0"}, {"id": ""}, {"id": "../../etc"}, {"shown": "0" * 64},
    ],
    ids=str,
)  # fmt: skip
def test_a_form_that_fits_nothing_writes_nothing(tmp_path: Path, change: dict[str, str]) -> None:
    one = browser(tmp_path)
    form = inputs(re.search(r'<form id="judge".*?</form>', one.page, re.DOTALL)[0]) | {"judgement": "refused"}  # type: ignore[index]
    assert one.post("/judge", form | change) == 409
    assert one.session.journal.read() == []
    assert one.post("/judge", form) == 303


def test_a_huge_or_broken_body_is_refused(tmp_path: Path) -> None:
    one = browser(tmp_path)
    for body in (b"better=" + b"x" * (1 << 20), b"a=%ff", b"\xff=1", b"&".join(b"a%d=1" % i for i in range(99))):
        answer = one.client.post("/judge", content=body, headers={"origin": f"http://{HOST}"})
        assert answer.status_code == 400
    assert one.session.journal.read() == []


def test_a_full_disk_is_told_and_nothing_is_taken_for_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = browser(tmp_path)
    form = inputs(re.search(r'<form id="judge".*?</form>', one.page, re.DOTALL)[0]) | {"judgement": "refused"}  # type: ignore[index]

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("superalign.store.journal.os.write", full)
    answer = one.client.post("/judge", data=form, headers={"origin": f"http://{HOST}"})
    assert answer.status_code == 500
    assert "the disk is full" in answer.text
    monkeypatch.undo()
    assert one.session.journal.read() == []
    assert "0 of 3" in one.page


def test_nothing_to_judge_is_said(tmp_path: Path) -> None:
    assert "There is nothing to judge yet" in Browser(make_run(tmp_path / "run", [])).page


def test_exchanges_that_come_later_appear(tmp_path: Path) -> None:
    one = browser(tmp_path, 1)
    one.press("1")
    lines = (tmp_path / "run/rounds/001/exchanges.jsonl").read_text()
    later = exchange(7, verdict(0.4)).model_dump_json()
    (tmp_path / "run/rounds/001/exchanges.jsonl").write_text(f"{lines}{later}\n")
    assert "subject number 7" in one.page
    assert "1 of 2" in one.page
