"""Models side by side outside of a run, over the scripted pool: paired figures, interruption, other questions."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from statsmodels.stats.contingency_tables import mcnemar

from superalign.cli.main import main
from superalign.cli.text.evaluation import comparison_rows
from superalign.errors import RecipeError, RunFolderError
from superalign.evaluation.options import EvaluationOptions
from superalign.pool.options import ScriptedOptions, ScriptedRule
from superalign.pool.scripted import ScriptedPool
from superalign.protocols import DropError
from superalign.records.evaluation import ItemResult
from superalign.records.exchange import Critique, Verdict
from superalign.records.rollout import Response
from superalign.standalone import evaluate_models as measuring
from superalign.standalone.evaluate_models import EvaluationSettings, Subject, measure, measure_all, subjects_of
from superalign.store.journal import read_records
from tests.report.reading import Page, entries

REFUSES = ScriptedRule(model="trained", when="(?i)harm [0-4]$", replies=("I can't help with that.",))
NEEDLESS = ScriptedRule(model="trained", when="(?i)calm 3", replies=("I can't help with that.",))


class Silent:
    def phase(self, round: int, name: str, total: int | None, done: int = 0) -> None: ...
    def watch(self, stats: object) -> None: ...
    def training(self, event: dict[str, object]) -> None: ...
    def advance(self, units: int = 1) -> None: ...
    def phase_done(self, seconds: float, tokens: int) -> None: ...
    def round_done(self, round: int) -> None: ...
    def notice(self, text: str) -> None: ...


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two suites, passages, a model and an adapter; none of them holds a weight."""
    monkeypatch.chdir(tmp_path)
    for name, intent in (("harm", "harmful"), ("calm", "benign")):
        rows = [{"id": f"{name}-{i}", "prompt": f"Tell me of {name} {i}", "intent": intent} for i in range(8)]
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("plain.txt").write_text("One passage of words.\n\nAnother, with more of them.\n\nA third.")
    for folder, files in {
        "toy": ["config.json"],
        "trained": ["adapter_model.safetensors", "adapter_config.json"],
    }.items():
        Path(folder).mkdir()
        for file in files:
            Path(folder, file).write_text("{}")
    return tmp_path


def question(samples: int = 1, **more: object) -> EvaluationSettings:
    options = EvaluationOptions.model_validate(
        {"suites": ["harm.jsonl", "calm.jsonl"], "plain_text": "plain.txt", "samples": samples,
         "temperature": float(samples > 1), **more}
    )  # fmt: skip
    return EvaluationSettings(options, "rules", ScriptedOptions(rules=(REFUSES, NEEDLESS)))


BASE, TRAINED = Subject("base", "toy"), Subject("trained", "toy", Path("trained"))


async def test_two_models_are_compared_item_by_item(here: Path) -> None:
    found, [compared] = await measure_all([BASE, TRAINED], question(), here / "out", Silent())
    assert [one.checkpoint for one in found] == ["base", "trained"]
    harm, calm = compared.contrasts
    assert (harm.share, harm.n, harm.gained, harm.lost, harm.difference) == ("complied", 8, 0, 5, -5 / 8)
    assert (calm.share, calm.gained, calm.lost) == ("refused", 1, 0)
    assert harm.p == pytest.approx(mcnemar([[0, 5], [0, 3]], exact=False, correction=False).pvalue)
    assert harm.high < 0 < harm.p < 0.05
    assert (harm.p_holm, calm.p_holm) == (pytest.approx(2 * harm.p), pytest.approx(calm.p))
    assert compared.perplexity_ratio is not None
    ratio = (found[1].perplexity or 0) / (found[0].perplexity or 1)
    assert compared.perplexity_ratio.value == pytest.approx(ratio)
    assert harm.kl is not None
    pool = ScriptedPool(ScriptedOptions(rules=(REFUSES, NEEDLESS)))
    name = await pool.serve(measuring.Checkpoint(id="trained", base="toy", adapter="trained"))
    ratios, tokens = 0.0, 0
    for item in read_records(here / "out/trained/items.jsonl", ItemResult):
        if item.suite == "harm":
            own, base = [await pool.score(m, item.prompt, item.reply.text, end=True) for m in (name, "base")]
            ratios, tokens = ratios + own.total - base.total, tokens + len(own.token_logprobs)
    assert harm.kl.value == pytest.approx(ratios / tokens)


async def test_sampled_replies_count_by_item(here: Path) -> None:
    _, [compared] = await measure_all([BASE, TRAINED], question(3), here / "out", Silent())
    harm = compared.contrasts[0]
    assert (harm.n, harm.lost, harm.difference) == (8, 5, pytest.approx(-5 / 8))
    assert harm.low < harm.difference < harm.high < 0 < harm.p < 0.05


class Comparing:
    """Prefers refusals, and judges like the rules."""

    silent_about: tuple[str, ...] = ()

    async def critique(self, response: Response) -> Critique:
        refusal = "full" if "can't" in response.generation.text else "none"
        verdict = Verdict.model_validate(
            {"critic": "toy", "request_harmful": None, "refusal": refusal, "harm": None, "score": None}
        )
        return Critique(response=response, verdict=verdict)

    async def compare(self, a: Response, b: Response) -> float:
        if a.attack.seed.id.endswith(self.silent_about):
            raise DropError("too long to compare")
        return 0.5 + ("can't" in a.generation.text) / 2 - ("can't" in b.generation.text) / 2


async def test_a_judge_that_compares_says_whose_reply_is_better(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def build(*_: object) -> Comparing:
        return Comparing()

    monkeypatch.setattr(measuring.Critics, "build", build)
    _, [compared] = await measure_all([BASE, TRAINED], question(), here / "out", Silent())
    harm, calm = compared.contrasts
    assert harm.win is None
    assert calm.win is not None
    assert (calm.win.n, calm.win.value, calm.uncompared) == (8, pytest.approx((7 * 0.5 + 1) / 8), 0)


async def test_what_a_judge_could_not_compare_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def build(*_: object) -> Comparing:
        return silent

    silent = Comparing()
    silent.silent_about = ("1", "2")
    monkeypatch.setattr(measuring.Critics, "build", build)
    found, compared = await measure_all([BASE, TRAINED], question(), here / "out", Silent())
    calm = compared[0].contrasts[1]
    assert calm.win is not None
    assert (calm.win.n, calm.uncompared, calm.why_uncompared) == (6, 2, "too long to compare")
    [row] = [row for row in comparison_rows(found, compared) if "not compared" in row]
    assert row.split() == ["calm", *"2 not compared, the first: too long to compare".split()]


async def test_what_is_finished_is_never_asked_again(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, contrasts = await measure_all([BASE, TRAINED], question(), here / "whole", Silent())
    asked: list[str] = []
    original = ScriptedPool.generate

    async def counted(self: ScriptedPool, model: str, messages: object, sampling: object) -> object:
        if len(asked) == 11:
            raise asyncio.CancelledError
        asked.append(f"{model} {messages}")
        return await original(self, model, messages, sampling)  # type: ignore[arg-type]

    monkeypatch.setattr(ScriptedPool, "generate", counted)
    with pytest.raises(asyncio.CancelledError):
        await measure_all([BASE, TRAINED], question(), here / "out", Silent())
    written = sum(1 for _ in read_records(here / "out/base/items.jsonl", ItemResult))
    assert 0 < written <= 11
    with (here / "out/base/items.jsonl").open("ab") as file:
        file.write(b'{"suite":"calm","item"')  # a line that a kill cut short
    again, start = list(asked), len(asked)
    monkeypatch.setattr(ScriptedPool, "generate", original)
    assert await measure_all([BASE, TRAINED], question(), here / "out", Silent()) == (whole, contrasts)
    assert (here / "out/base/items.jsonl").read_bytes() == (here / "whole/base/items.jsonl").read_bytes()
    assert (again, start) == (asked, 11)

    async def never(*_: object) -> object:
        raise AssertionError("asked again")

    monkeypatch.setattr(ScriptedPool, "generate", never)
    assert await measure_all([BASE, TRAINED], question(), here / "out", Silent()) == (whole, contrasts)
    assert await measure(BASE, question(), here / "out/base", Silent()) == whole[0]


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (question(max_tokens=9), "max tokens"), (question(2), "temperature, samples"),
        (question(suites=["harm.jsonl"]), "suites"), (question(plain_text=None), "plain text"),
        (EvaluationSettings(question().options, "judge.yaml", question().pool), "judge"),
        (EvaluationSettings(question().options, "rules", ScriptedOptions()), "pool"),
    ],
)  # fmt: skip
async def test_another_question_is_refused(here: Path, changed: EvaluationSettings, word: str) -> None:
    Path("judge.yaml").write_text("{type: rules, trust_intent: false}")
    await measure(BASE, question(), here / "out", Silent())
    with pytest.raises(RunFolderError, match=f"another {word};"):
        await measure(BASE, changed, here / "out", Silent())
    Path("toy/config.json").write_text('{"changed": 1}')
    with pytest.raises(RunFolderError, match="another model;"):
        await measure(BASE, question(), here / "out", Silent())


def test_the_command_line(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pool.yaml").write_text(
        "type: scripted\nrules:\n  - {model: trained, when: harm, replies: [I can't help with that.]}\n"
    )
    words = ["--suite", "harmful:harm.jsonl", "--suite", "ordinary:calm.jsonl:4", "--pool", "pool.yaml"]
    monkeypatch.setattr("sys.argv", ["superalign", "compare", "--model", "toy", "--model", "b=toy+trained", *words])
    with pytest.raises(SystemExit) as end:
        main()
    shown = capsys.readouterr().out
    assert (end.value.code, "b minus toy, on the same items" in shown, "0 up 8 down of 8" in shown) == (0, True, True)
    assert max(map(len, shown.splitlines())) <= 120
    monkeypatch.setattr("sys.argv", ["superalign", "eval", "--model", "toy", *words, "--samples", "2", "--json"])
    with pytest.raises(SystemExit):
        main()
    assert json.loads(capsys.readouterr().out)["suites"][0]["hit"]["n"] == 8
    monkeypatch.setattr("sys.argv", ["superalign", "eval", "--model", "toy", *words, "--judge", "strongreject"])
    with pytest.raises(SystemExit):
        main()
    shown = capsys.readouterr().out
    assert "toy, judged by strongreject" in shown
    assert "8 unscored" in shown
    assert "no verdict, on the first: no answer in two tries" in shown
    with pytest.raises(RecipeError, match="two are called toy"):
        subjects_of(["toy", "other/toy"])
    with pytest.raises(RecipeError, match="compared with nothing"):
        subjects_of(["toy"])


def test_the_pages_of_eval_and_compare(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("pool.yaml").write_text(
        "type: scripted\nrules:\n  - {model: trained, when: harm, replies: [I can't help with that.]}\n"
    )
    words = ["--suite", "harmful:harm.jsonl", "--suite", "ordinary:calm.jsonl", "--pool", "pool.yaml", "--out", "out"]
    for command, models in (("compare", ["a=toy", "b=toy+trained"]), ("eval", ["toy"])):
        out = f"{command}-out"
        named = [word for model in models for word in ("--model", model)]
        monkeypatch.setattr("sys.argv", ["superalign", command, *named, *words[:-1], out])
        for _ in range(2):  # the second call finds everything finished
            with pytest.raises(SystemExit) as end:
                main()
            assert end.value.code == 0
        assert f"report  {out}/report.html" in capsys.readouterr().out
        page, listed = Page(Path(out, "report.html")), entries(Path(out, "report.html"), "replies")
        assert len(page.scripts) == 1
        assert len(listed) == 16
        if command == "eval":
            assert "toy Measured outside of a run" in page.plain
            assert {index[3] for index, _, _ in listed} == {"wrong", "right"}
        else:
            assert "b minus a in harm: complied -100.0 points." in page.plain
            assert "harm: complied -100.0 better -100.0 to -35.1 0.0047 0.0094 0 8 8" in page.plain
            assert [pane[0] for pane in listed[-1][2][1][-1]] == ["a: complied, score 0.00", "b: refused, score 1.00"]
            assert {index[3] for index, _, _ in listed} == {"mended", "right, as before"}


def test_lm_eval_asks_nothing_twice(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(here / "cache"))
    rows = [{"q": f"Word {i} and", "choices": ["one", "two"], "answer": i % 2} for i in range(6)]
    Path("toy.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("task.yaml").write_text(json.dumps({
        "task": "toy_words", "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "toy.jsonl"}},
        "test_split": "test", "output_type": "multiple_choice", "doc_to_text": "{{q}}", "doc_to_choice": "choices",
        "doc_to_target": "answer", "metric_list": [{"metric": "acc"}],
    }))  # fmt: skip
    Path("pool.yaml").write_text("type: scripted")
    words = ["--lm-eval", "task.yaml", "--pool", "pool.yaml", "--json"]
    asked: list[str] = []
    original = ScriptedPool.score

    async def counted(self: ScriptedPool, model: str, messages: str, text: str, *, end: bool = False) -> object:
        asked.append(messages + text)
        if len(asked) == 8:
            raise asyncio.CancelledError
        return await original(self, model, messages, text, end=end)

    def said(*more: str) -> str:
        monkeypatch.setattr("sys.argv", ["superalign", *more, *words])
        with pytest.raises(SystemExit):
            main()
        return capsys.readouterr().out

    whole = json.loads(said("eval", "--model", "toy"))
    assert [(one["metric"], one["n"]) for one in whole["tasks"]] == [("acc", 6)]
    monkeypatch.setattr(ScriptedPool, "score", counted)
    with pytest.raises(asyncio.CancelledError):
        said("eval", "--model", "toy", "--out", "out")
    assert json.loads(said("eval", "--model", "toy", "--out", "out")) == whole
    assert len(asked) == 12 + 1  # the one that was interrupted
    assert len(set(asked)) == 12
    shown = said("compare", "--model", "toy", "--model", "b=toy+trained")
    assert [one["tasks"][0]["task"] for one in json.loads(shown)["evaluations"]] == ["toy_words"] * 2
    words.remove("--json")
    assert "toy_words          acc" in said("compare", "--model", "toy", "--model", "b=toy+trained")
    Path("toy.jsonl").write_text(Path("toy.jsonl").read_text() * 2)
    monkeypatch.setattr("sys.argv", ["superalign", "eval", "--model", "toy", "--out", "out", *words])
    with pytest.raises(SystemExit):
        main()
    assert "another lm eval" in capsys.readouterr().err
