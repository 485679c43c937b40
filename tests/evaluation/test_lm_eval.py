"""lm-eval through the pool, against lm-eval's own run of the same model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from superalign.errors import PromptFileError, RecipeError
from superalign.evaluation.lm_eval import figures
from superalign.evaluation.load_suites import load_plain_text
from superalign.evaluation.metrics import perplexity
from superalign.evaluation.options import LmEvalOptions
from superalign.files.find import prompt_path
from superalign.models.packaged import resolve
from superalign.pool.options import ScriptedOptions, TransformersOptions
from superalign.pool.scripted import ScriptedPool
from superalign.pool.transformers.pool import TransformersPool

CHOICES = [
    ("A cat says", ["meow", "moo", "woof"], 0), ("Water freezes into", ["ice", "sand", "wood"], 0),
    ("The sky on a clear day is", ["green", "blue", "square"], 1), ("Two and two make", ["seven", "four", "none"], 1),
    ("Bread is baked in an", ["engine", "oven", "idea"], 1), ("At night we see the", ["noon", "lunch", "moon"], 2),
    ("Fish live in", ["fire", "books", "water"], 2), ("A week has seven", ["days", "years", "legs"], 0),
]  # fmt: skip


def task(folder: Path, name: str, rows: list[dict[str, object]], **more: object) -> str:
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": f"{name}.jsonl"}},
        "test_split": "test",
    }  # fmt: skip
    (folder / f"{name}.yaml").write_text(json.dumps(config | more))  # JSON is YAML
    return str(folder / f"{name}.yaml")


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    passages = [
        {"text": passage.text} for passage in load_plain_text(prompt_path("suites/plain_text.yaml")).passages[:4]
    ]
    rolling = [{"metric": name} for name in ("word_perplexity", "byte_perplexity", "bits_per_byte")]
    docs: list[dict[str, object]] = [{"q": q, "choices": c, "answer": a} for q, c, a in CHOICES]
    return (
        task(tmp_path, "toy_choice", docs, output_type="multiple_choice", doc_to_text="{{q}}",
             doc_to_choice="choices", doc_to_target="answer", metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}]),
        task(tmp_path, "toy_text", list(passages), output_type="loglikelihood_rolling", doc_to_text="",
             doc_to_target="{{text}}", metric_list=rolling),
        task(tmp_path, "toy_write", docs[:2], output_type="generate_until", doc_to_text="{{q}}",
             doc_to_target="{{choices[answer]}}", generation_kwargs={"until": ["."], "max_gen_toks": 6},
             metric_list=[{"metric": "exact_match"}]),
    )  # fmt: skip


@pytest.mark.engine
async def test_figures_are_those_of_lm_evals_own_run(tasks: tuple[str, ...]) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from superalign.evaluation.lm_eval import _figures, _task

    model = str(resolve("smollm2-135m"))
    pool = TransformersPool(model, TransformersOptions())
    await pool.start()
    try:
        ours = await figures(pool, "base", LmEvalOptions(tasks=tasks))
        text = load_plain_text(prompt_path("suites/plain_text.yaml")).passages[:4]
        scores = [await pool.score("base", (), passage.text) for passage in text]
    finally:
        await pool.close()
    own = HFLM(pretrained=model, dtype="float32", device="cpu", batch_size=4, max_length=2048)
    theirs = simple_evaluate(
        own, tasks=[_task(name) for name in tasks], bootstrap_iters=0, log_samples=False,
        task_manager=TaskManager(include_defaults=False),
    )  # fmt: skip
    expected = {(one.task, one.metric): one.value for one in _figures(theirs)}
    found = {(one.task, one.metric): one.value for one in ours}
    assert found == {key: pytest.approx(value, rel=1e-5) for key, value in expected.items()}
    assert {metric for _, metric in found} >= {"acc", "acc_norm", "byte_perplexity", "word_perplexity"}
    assert found["toy_choice", "acc"] > 1 / 3
    value, tokens = perplexity(score.token_logprobs for score in scores)
    num_bytes = sum(len(passage.text.encode()) for passage in text)
    assert found["toy_text", "byte_perplexity"] == pytest.approx(value ** (tokens / num_bytes), rel=1e-5)


async def test_limits_and_faults(tmp_path: Path, tasks: tuple[str, ...]) -> None:
    pool = ScriptedPool(ScriptedOptions())
    found = await figures(pool, "base", LmEvalOptions(tasks=tasks[:1], limit=3))
    assert [(one.task, one.metric, one.n) for one in found] == [("toy_choice", "acc", 3), ("toy_choice", "acc_norm", 3)]
    (tmp_path / "not.yaml").write_text("dataset_path: json")
    with pytest.raises(PromptFileError, match="no task of lm-eval"):
        await figures(pool, "base", LmEvalOptions(tasks=(str(tmp_path / "not.yaml"),)))
    (tmp_path / "toy_choice.jsonl").unlink()
    with pytest.raises(RecipeError, match="lm-eval could not run the tasks"):
        await figures(pool, "base", LmEvalOptions(tasks=tasks[:1]))
