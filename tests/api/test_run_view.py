"""A run folder as objects, and its examples as rows for TRL."""

from __future__ import annotations

import json
import shutil
from itertools import islice
from pathlib import Path

import pytest

import superalign
from superalign import Run
from tests.cli.toy import superalign as command


def test_rounds_and_their_records(finished: Run) -> None:
    base, first = finished.rounds
    assert (base.number, first.number, base.done, first.done) == (0, 1, True, True)
    assert base.promotion is None
    assert first.promotion is not None
    [exchange] = islice(first.exchanges(), 1)
    assert isinstance(exchange, superalign.Exchange)
    assert exchange.attack.messages[-1].role == "user"
    assert {pair.chosen.text == pair.rejected.text for pair in first.pairs()} == {False}
    assert all(demonstration.prompt for demonstration in first.demonstrations())
    assert base.evaluation is not None
    assert len(list(base.evaluation_items())) == sum(suite.complied.n for suite in base.evaluation.suites)
    assert sum(first.summary.dropped.values()) == len(list(first.dropped()))
    assert first.summary.attacks == len(list(first.exchanges()))


def test_the_run_itself(finished: Run) -> None:
    assert finished.recipe.name == "scripted"
    assert finished.verify() == []
    assert finished.current is not None
    checkpoint = finished.rounds[1].checkpoint
    assert checkpoint is not None
    assert checkpoint.adapter is not None
    assert Path(checkpoint.adapter).is_dir()
    assert Path(checkpoint.adapter).is_absolute()
    assert finished.summary.rounds[1].done
    assert repr(finished).endswith("2 rounds)")
    assert repr(finished.rounds[0]) == "Round(0, sealed)"


def test_what_was_altered_is_named(finished: Run, tmp_path: Path) -> None:
    shutil.copytree(finished.path, tmp_path / "copy")
    with (tmp_path / "copy/rounds/001/pairs.jsonl").open("a") as file:
        file.write("{}\n")
    copy = superalign.open_run(tmp_path / "copy")
    assert [finding.path for finding in copy.verify()] == ["rounds/001/pairs.jsonl"]
    with pytest.raises(superalign.RunFolderError, match=r"pairs\.jsonl:\d+: not a PreferencePair"):
        list(copy.rounds[1].pairs())


def test_no_run_folder(tmp_path: Path) -> None:
    with pytest.raises(superalign.RunFolderError, match="is not a run folder"):
        superalign.open_run(tmp_path)


def test_rows_for_trl(finished: Run) -> None:
    rows = finished.to_trl()
    pairs = list(finished.rounds[1].pairs())
    assert len(rows) == len(pairs) > 0
    assert list(rows[0]) == ["prompt", "chosen", "rejected"]
    assert rows[0]["prompt"] == [message.model_dump() for message in pairs[0].prompt]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": pairs[0].chosen.text}]
    taught = finished.to_trl("demonstrations", round=1)
    assert list(taught[0]) == ["prompt", "completion"]
    assert len(taught) == len(list(finished.rounds[1].demonstrations()))
    assert finished.to_trl(round=0) == []
    with pytest.raises(superalign.RunFolderError, match="there is no round 7"):
        finished.to_trl(round=7)


def test_the_command_writes_the_same_rows(finished: Run, tmp_path: Path) -> None:
    to = tmp_path / "pairs.jsonl"
    done = command("export", str(finished.path), "--format", "trl", "--to", str(to))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in to.read_text().splitlines()] == finished.to_trl()
    again = command("export", str(finished.path), "--format", "trl", "--to", str(to))
    assert (again.returncode, "exists already" in again.stderr) == (1, True)
    other = ("--rows", "demonstrations", "--round", "1", "--json", "--to", str(tmp_path / "d.jsonl"))
    done = command("export", str(finished.path), "--format", "trl", *other)
    assert json.loads(done.stdout)["rows"] == len(finished.to_trl("demonstrations", 1))


@pytest.mark.engine
def test_trl_takes_the_rows_as_they_are(finished: Run, tmp_path: Path, tiny_model: str) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    for rows, config, trainer in (("pairs", DPOConfig, DPOTrainer), ("demonstrations", SFTConfig, SFTTrainer)):
        model = AutoModelForCausalLM.from_pretrained(tiny_model)
        dataset = Dataset.from_list(finished.to_trl(rows)[:4])  # type: ignore[arg-type]
        arguments = config(
            output_dir=str(tmp_path / rows), max_steps=1, per_device_train_batch_size=2, report_to="none",
            use_cpu=True, bf16=False, save_strategy="no",
        )  # fmt: skip
        result = trainer(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer).train()
        assert result.training_loss > 0
