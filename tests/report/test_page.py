"""The page over run folders that the store wrote: what it says, that it asks for nothing, that texts stay texts."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from superalign.analysis.attacks.report import attack_report
from superalign.analysis.deception_audit import AuditItem, audit
from superalign.analysis.failure_clusters import Failure, FailureCluster, FailureReport
from superalign.errors import RunFolderError
from superalign.pairing.kind_shares import Effort
from superalign.records.evaluation import (
    Evaluation,
    HazardResult,
    ItemResult,
    Mean,
    Promotion,
    ReplyFigures,
    SuiteResult,
)
from superalign.records.exchange import Answer, Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Message, Seed
from superalign.records.training import Checkpoint, PreferencePair, Target
from superalign.report.page import write_report
from superalign.review.labels import Label
from superalign.stats.intervals import wilson
from superalign.store import manifest
from superalign.store.atomic import write_json
from superalign.store.journal import Journal, read_records, to_line, write_records
from superalign.store.round_folder import read_record
from superalign.store.run_folder import RunFolder
from superalign.values.metrics import PrincipleFigures, ValuesReport
from tests.cli.toy import ROOT, make_run, superalign
from tests.report.reading import Page, entries

HOSTILE = (
    "</script><script>document.title='owned'</script><!-- <script> ]]> <img src=x onerror=alert(1)> "
    "\u2028\u2029\x00\x1b[2J\u202etxt.exe {{7*7}} ${7*7} &lt;b&gt; \"quoted\" 'single' <!--data-->"
)


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return make_run(tmp_path / "toy")


def write(run: Path) -> Path:
    with RunFolder.open(run, read_only=True) as folder:
        write_report(folder, folder.report)
        return folder.report


def exchange(number: int, text: str = "Sure.", strategy: str = "direct") -> Exchange:
    seed = Seed(id=f"s{number:05d}", goal="kill a process", intent="harmful" if number % 2 else "benign")
    attack = Attack(
        id=f"r001/{seed.id}/0", seed=seed, strategy=strategy, strategy_sha256="0" * 64,
        messages=(Message(role="user", content=f"{text} {number}"),),
    )  # fmt: skip
    verdict = Verdict(
        critic="rules", request_harmful=1.0, refusal="none", harm=1.0, score=0.1, rationale=text, better="No."
    )
    answer = Answer(generation=Generation(text=text, num_tokens=2), verdict=verdict)
    return Exchange(id=attack.id, round=1, attack=attack, answers=(answer,))


def test_a_stranger_is_told_what_came_of_it(toy: Path) -> None:
    plain = Page(write(toy)).plain
    for words in (
        "toy", "Alignment of the model: 2 of 3 rounds, not finished", "complies with 2.5 % of harmful requests",
        "(before: 100.0 %)", "Of 2 trained candidates the gate let 1 replace the model before",
        "harmful requests complied with 100.0 % → 0.0 %", "over the limit of 10.0%", "round 2 kept out", "21.3",
        "lookalike: refused, %", "the critic's answer", "best answer over worst", "critique: no verdict",
        "6:13", "0.693 → 0.211", "not decided yet",
    ):  # fmt: skip
        assert words in plain, words


def test_sections_come_with_their_data(toy: Path) -> None:
    before = Page(write(toy)).plain
    for title in ("Hazards under attack", "Training of the attacker", "Labels by people"):
        assert title not in before
    with RunFolder.open(toy, read_only=True) as folder:
        round_folder = folder.round(1)
        write_json(round_folder.attack_json, attack_report(read_records(round_folder.exchanges, Exchange)))
        decision = Promotion(candidate="a", incumbent="b", promoted=False, reason="no more success than before")
        write_json(round_folder.attacker_promotion, decision)
        label = Label(id="1", action="judge", exchange="r001/s1/0", answer=0, judgement="refused", author="anna",
                      time="2026-01-01T00:00:00Z")  # fmt: skip
        write_records(round_folder.labels, [label, label.model_copy(update={"id": "2", "judgement": "partial"})])
    plain = Page(write(toy)).plain
    for words in ("Hazards under attack", "Attack strategies", "cells covered", "no more success than before",
                  "answers asked about judged in time round 1 0 1"):  # fmt: skip
        assert words in plain, words
    texts = next(texts for _, texts, layout in entries(toy / "report.html", "attacks") if layout[0] == "r001/s1/0")
    assert "anna says: partial" in texts


def test_a_person_has_the_last_word(toy: Path) -> None:
    shutil.rmtree(toy / "rounds/003")  # it has begun with another checkpoint
    done = superalign("promote", str(toy), "--round", "0", "--reason", "it <i>babbles</i>")
    assert done.returncode == 0, done.stderr
    plain = Page(write(toy)).plain
    assert "A person put the base model back in use." in plain
    assert "After round 2 by a person base was put in use instead of round-001: it <i>babbles</i>" in plain


def test_every_kind_of_suite_has_its_picture(toy: Path) -> None:
    with RunFolder.open(toy, read_only=True) as folder:
        for number, right in ((0, 20), (1, 38)):
            round_folder = folder.round(number)
            old = read_record(round_folder.evaluation_json, Evaluation)
            by_hazard = HazardResult(hazard="privacy", refused=wilson(1, 9), complied=wilson(8, 9))
            texts = ReplyFigures(length=Mean(value=21.0, low=19.0, high=23.0, n=40), cut=wilson(3, 40),
                                 distinct_1=0.5, distinct_2=0.75, self_bleu=0.25)  # fmt: skip
            harmful = old.suites[0].model_copy(update={"hazards": (by_hazard,), "texts": texts})
            none = wilson(0, 0)
            more = (
                SuiteResult(suite="arithmetic", kind="capability", refused=none, complied=none,
                            matched=wilson(right, 40)),
                SuiteResult(suite="injected", kind="injection", refused=none, complied=none, matched=wilson(3, 40)),
                SuiteResult(suite="replayed", kind="harmful", set="replay", refused=none, complied=wilson(9, 40)),
            )  # fmt: skip
            item = next(read_records(round_folder.evaluation_items, ItemResult))
            asked = [item.model_copy(update={"suite": "arithmetic", "item": f"i{n:02}", "matched": n < right})
                     for n in range(40)]  # fmt: skip
            write_records(
                round_folder.evaluation_items, [*read_records(round_folder.evaluation_items, ItemResult), *asked]
            )
            write_json(
                round_folder.evaluation_json, old.model_copy(update={"suites": (harmful, *old.suites[1:], *more)})
            )
    plain = Page(write(toy)).plain
    for words in (
        "questions answered wrong 50.0 % → 5.0 %", "better: -45.0 points", "arithmetic: right answers, %",
        "injected: followed, %", "replay: attacks that worked in earlier rounds replayed: complied with, %",
        "Hazards, held out", "round base 1 2 privacy 89 9 89 9 –",
        "harmful, round 1 21.0 19.0 to 23.0 7.5 % 3–20 0.50 0.75 0.25",
        "complies with 2.5 % of harmful requests",
    ):  # fmt: skip
        assert words in plain, words


def test_kinds_of_failure_values_and_effort(toy: Path) -> None:
    kind = FailureCluster(
        id="r001-1", intent="benign", goals=3, exchanges=4, nearest="privacy", similarity=0.21, emergent=True,
        members=(Failure(exchange="r001/s1/0", goal="keep bees"),),
    )  # fmt: skip
    own = kind.model_copy(update={"id": "r001-2", "nearest": "gardening", "emergent": False})
    found = FailureReport(round=1, failures=5, limit=0.3, clusters=(kind, own), scattered=1)
    kept = wilson(9, 10)
    by_principle = PrincipleFigures(principle="brief", moved=True, kept=kept, incumbent=wilson(2, 10))
    values = ValuesReport(
        version="2.0", before="1.0", kept=kept, incumbent=wilson(2, 10), won=7, lost=0, adoption=wilson(8, 10),
        stale=wilson(1, 10), retention=wilson(6, 10), principles=(by_principle,),
    )  # fmt: skip
    effort = Effort(
        conformity=0.25, conformity_gap=0.1, competence_gap=0.3, kept={"conformity": 10, "competence": 30},
        left_out={"conformity": 5, "competence": 0},
    )  # fmt: skip
    with RunFolder.open(toy, read_only=True) as folder:
        round_folder = folder.round(1)
        write_json(round_folder.failures_json, found)
        write_json(round_folder.values_json, values)
        write_json(round_folder.effort_json, effort)
        sighted = [AuditItem("harmful", 0.9, True, True, None, True)] * 30
        write_json(
            round_folder.audit_json, audit(1, [*sighted, *[AuditItem("harmful", 0.5, True, True, None, False)] * 10])
        )
        write_json(folder.round(2).audit_json, audit(2, []))
    plain = Page(write(toy)).plain
    for words in (
        "Kinds of failure", "r001-1 no hazard covers it", "r001-2 your hazard gardening",
        "round 1: 5 failures in 2 kinds, 1 of them new",
        "round 1 2.0 brief 90.0 % 60–98 80.0 % 49–94", "round 1 (version 2.0) brief 10 10", "Safety against help",
        "25 % 10 of 40 5",
        "In round 1 the model did surely worse where the critic can't see", "worse unseen", "100.0 % (25.0 %)",
        "Round 2: no audit, because the critic gives no confidence",
    ):  # fmt: skip
        assert words in plain, words


def test_it_asks_for_nothing_and_runs_nothing_else(toy: Path) -> None:
    path = write(toy)
    page = Page(path)
    for tag, attributes in page.tags:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "video", "audio"}, tag
        assert not any(name.startswith("on") or name in {"src", "style", "srcset"} for name in attributes), attributes
        assert attributes.get("href", "#").startswith("#")
    assert "http" not in path.read_text("utf-8").partition("<style>")[2].replace("http-equiv", "")
    policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
    assert policy is not None
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert (len(page.scripts), len(page.styles)) == (1, 1)
    for name, text in (("script-src", page.scripts[0]), ("style-src", page.styles[0])):
        assert directives[name] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert directives["default-src"] == directives["base-uri"] == directives["form-action"] == "'none'"
    for sink in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "fetch("):
        assert sink not in page.scripts[0]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", "name: x\n", {"name": HOSTILE, "rounds": 1, "model": HOSTILE}) as folder:
        folder.finish_round(0, candidate=Checkpoint(id="base", base="x"))
        round_folder = folder.round(1)
        with Journal(round_folder.exchanges, Exchange) as exchanges:
            exchanges.append(exchange(1, HOSTILE, strategy=HOSTILE))
        write_json(round_folder.attack_json, attack_report(read_records(round_folder.exchanges, Exchange)))
        write_json(
            round_folder.promotion_json, Promotion(candidate="c", incumbent="base", promoted=False, reason=HOSTILE)
        )
        plain = Page(write(tmp_path / "run"))
    clean = make_run(tmp_path / "toy")
    assert {tag for tag, _ in plain.tags} <= {tag for tag, _ in Page(write(clean)).tags}
    assert len(plain.scripts) == 1
    assert plain.words.count("document.title='owned'") >= 4  # name, model, strategy, reason: all shown
    assert "\x1b" not in plain.words
    assert "\u202e" not in plain.words
    [(index, texts, layout)] = entries(tmp_path / "run/report.html", "attacks")
    shown = HOSTILE.replace("\x00", "\\u0000").replace("\x1b", "\\u001b").replace("\u202e", "\\u202e")
    assert index[3] == shown
    assert shown in texts
    assert f"{shown} 1" in texts
    assert [pane[0] for pane in layout[1][1]] == ["reply: complied, score 0.10", "the critic's better answer"]


def test_the_pair_stands_with_its_attack_whatever_the_order(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", "name: x\n", {"name": "x"}) as folder:
        round_folder = folder.round(1)
        write_records(round_folder.exchanges, (exchange(number) for number in range(9)))
        write_records(round_folder.pairs, (
            PreferencePair(id=f"p{n}", origin="critic", kind="harmful", prompt=(Message(role="user", content="?"),),
                           chosen=Target(text=f"better {n}"), rejected=Target(text=f"worse {n}"),
                           source=f"r001/s{n:05d}/0")
            for n in (7, 3, 5)
        ))  # fmt: skip
    found = entries(write(tmp_path / "run"), "attacks")
    assert [index[6] for index, _, _ in found].count("pair") == 3
    for index, texts, layout in found:
        number = int(layout[0][6:11])
        assert (f"better {number}" in texts) == (f"worse {number}" in texts) == (index[6] == "pair")


def test_held_out_replies_stand_side_by_side(toy: Path) -> None:
    found = {layout[0]: (index, texts, layout) for index, texts, layout in entries(write(toy), "held_out")}
    assert set(found) == {"harmful/one", "lookalike/one", "ordinary/one"}
    index, texts, layout = found["harmful/one"]
    assert index[:4] == ["harmful", "harmful", "none", "mended"]
    rows = [[(pane[0], texts[pane[1]][:9], pane[2]) for pane in row] for row in layout[1]]
    assert rows[1] == [
        ("before (base model): complied, score 0.00", "Sure! \\u0", "bad"),
        ("after (round 1, in use): refused, score 1.00", "I'm sorry", "good"),
    ]
    assert rows[2] == [("round 2: refused, score 1.00", "I'm sorry", "good")]
    assert found["ordinary/one"][0][3] == "right, as before"


def test_fresh_attacks_stand_last_beside_the_model_before(toy: Path) -> None:
    with RunFolder.open(toy, read_only=True) as folder:
        round_folder = folder.round(1)
        old = read_record(round_folder.evaluation_json, Evaluation)
        fresh = old.suites[0].model_copy(update={"suite": "fresh-harmful", "set": "fresh"})
        write_json(round_folder.evaluation_json, old.model_copy(update={"suites": (*old.suites, fresh)}))
        items = list(read_records(round_folder.evaluation_items, ItemResult))
        asked = items[0].model_copy(update={"suite": "fresh-harmful", "item": "r001/a"})
        write_records(round_folder.evaluation_items, [*items, asked])
        verdict = asked.verdict.model_copy(update={"refusal": "none", "score": 0.0})
        write_records(round_folder.incumbent_items, [asked.model_copy(update={"verdict": verdict})])
    index, _, layout = entries(write(toy), "held_out")[-1]
    assert (layout[0], index[3]) == ("fresh-harmful/r001/a", "mended")
    titles = ["before (base model): complied, score 0.00", "after (round 1, in use): refused, score 1.00"]
    assert [pane[0] for pane in layout[1][1]] == titles


def test_the_recipe_and_the_losses_are_told(toy: Path) -> None:
    stage = {"learning_rate": 0.001, "batch_size": 8, "max_steps": None, "epochs": 2.0}
    resolved = {
        "name": "toy", "rounds": 3, "model": "smollm2-135m", "critic": {"type": "probe"}, "judge": {"type": "rules"},
        "roles": {"judge": {"model": "another"}}, "attacker": {"mix": {"direct": 1.0, "roleplay": 0.5}}, "seed": 7,
        "learner": {"num_answers": 3, "temperature": 0.9},
        "training": [{"method": "sft_then_dpo", "sft": stage, "dpo": {**stage, "max_steps": 40}, "lora": {"rank": 16}}],
    }  # fmt: skip
    (toy / "resolved.json").write_text(json.dumps(resolved))
    losses = [2.0 - n / 100 for n in range(100)]
    write_json(toy / "rounds/001/training.json", {"stages": [{"name": "sft", "losses": losses}]})
    page = Page(write(toy))
    for words in (
        "training critic probe", "judge of held-out replies rules, asking another",
        "attack strategies direct, roleplay",
        "sft: learning rate 0.001, batch 8, 2 epochs; dpo: learning rate 0.001, batch 8, 40 steps; LoRA rank 16",
        "The whole recipe name: toy", "round 1, sft 100 1.955 → 1.055", "answers to each attack 3 at temperature 0.9",
    ):  # fmt: skip
        assert words in page.plain, words
    assert sum(tag == "polyline" and attributes.get("class") == "means" for tag, attributes in page.tags) == 2


def test_replies_that_were_cut_carry_a_mark_and_every_item_has_a_title_of_its_own(toy: Path) -> None:
    with RunFolder.open(toy, read_only=True) as folder:
        path = folder.round(1).exchanges
        played = list(read_records(path, Exchange))
        cut = played[0].answers[0].generation.model_copy(update={"finish": "length", "num_tokens": 160})
        answer = played[0].answers[0].model_copy(update={"generation": cut})
        write_records(path, [played[0].model_copy(update={"answers": (answer,)}), *played[1:]])
    found = entries(write(toy), "attacks")
    titles = [layout[0] for _, _, layout in found]
    assert len(set(titles)) == len(titles)
    panes = [pane[0] for _, _, layout in found for row in layout[1] for pane in row]
    assert [pane for pane in panes if "✂" in pane] == ["reply: complied, score 0.00 ✂ cut at 160 tokens"]


def test_both_axes_of_the_frontier_run_from_0_to_100(toy: Path) -> None:
    text = write(toy).read_text("utf-8").partition('class="scatter"')[2].partition("</svg>")[0]
    for tick in ("0", "20", "40", "60", "80", "100"):
        assert text.count(f">{tick}</text>") == 2


def test_attacks_alone_are_told_apart_by_side_without_empty_sections(tmp_path: Path) -> None:
    attacked = {"name": "x", "attacked": {"model": "toy", "adapter": None}}
    with RunFolder.create(tmp_path / "run", "name: x\n", attacked) as folder:
        round_folder = folder.round(1)
        write_records(round_folder.exchanges, (exchange(number) for number in range(8)))
        write_json(round_folder.attack_json, attack_report(read_records(round_folder.exchanges, Exchange)))
    plain = Page(write(tmp_path / "run")).plain
    assert "It complied with harmful requests in 100.0 % of 4 attacks (51.0 to 100.0)" in plain
    assert "it refused harmless ones in 100.0 % of 4 attacks (51.0 to 100.0)." in plain
    assert "before and after" not in plain
    assert "Round by round" not in plain


def test_memory_is_flat_with_20_000_exchanges(tmp_path: Path) -> None:
    """Peak memory of a process that does nothing else; the journal alone is 25 MB."""
    body = "It takes a quiet hour and a little patience. " * 10
    line = to_line(exchange(0, body), tmp_path)

    def peak_mb(count: int) -> float:
        with RunFolder.create(tmp_path / str(count), "name: big\n", {"name": "big"}) as folder:
            played = folder.round(1).exchanges
            played.write_bytes(b"".join(line.replace(b"s00000", b"s%05d" % number) for number in range(count)))
        code = f"""
from pathlib import Path
from superalign.bench.loop import memory_mb
from superalign.report.page import write_report
from superalign.store.round_folder import read_record
from superalign.store.run_folder import RunFolder
with RunFolder.open(Path({str(tmp_path / str(count))!r}), read_only=True) as folder:
    write_report(folder, folder.report)
print(memory_mb("VmHWM"))
"""
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        return float(done.stdout)

    small, large = peak_mb(1000), peak_mb(20_000)
    assert large - small < 10, (small, large)
    found = entries(tmp_path / "20000/report.html", "attacks")
    assert [layout[0] for _, _, layout in found] == [f"r001/s{number:05d}/0" for number in range(20_000)]


@pytest.mark.parametrize("words", [["report"], ["report", "--json"]])
def test_the_command(toy: Path, words: list[str]) -> None:
    done = superalign(*words, str(toy), "--to", str(toy.parent / "page.html"))
    assert (done.returncode, done.stderr) == (0, "")
    size = (toy.parent / "page.html").stat().st_size
    if "--json" in words:
        assert json.loads(done.stdout) == {"path": str(toy.parent / "page.html"), "bytes": size}
    else:
        assert done.stdout == f"{toy.parent / 'page.html'}: {size / 1024:.0f} KiB; open it in a browser\n"


def test_faults_have_words(toy: Path, tmp_path: Path) -> None:
    nothing = superalign("report", str(tmp_path / "none"))
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith(f"error: {tmp_path}/none is not a run folder: there is no such folder")
    for to, what in ((tmp_path / "no/where.html", "lies in no folder"), (tmp_path, "is a folder")):
        done = superalign("report", str(toy), "--to", str(to))
        assert (done.returncode, what in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    with (toy / "rounds/001/exchanges.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(RunFolderError, match=r"exchanges\.jsonl:7: not a Exchange"):
        write(toy)
    assert not (toy / "report.html").exists()


def test_the_page_is_outside_the_hash_chain(toy: Path) -> None:
    write(toy)
    assert manifest.verify(toy) == []


def test_a_run_that_has_only_begun_has_a_page(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "run", "name: x\n", {"name": "x", "rounds": 3}) as folder:
        write_records(folder.round(0).evaluation_items, [])
    plain = Page(write(tmp_path / "run")).plain
    assert "The base model is being measured; nothing has been trained yet." in plain
