import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.utils import add_fused_lm_head

from superalign.errors import TrainingError, TrainingStopped
from superalign.records.training import Checkpoint, Target
from superalign.training import child, dpo_reference
from superalign.training.cpu.completion_head import install
from superalign.training.job import write_job
from superalign.training.launcher import ChildTrainer
from superalign.training.options import DpoOptions, LoraOptions, SftOptions, TrainingOptions
from tests.training.toys import demonstrations, pairs

pytestmark = pytest.mark.engine


def options(method="sft", **more):
    sft = {"batch_size": 4, "max_steps": 8, "learning_rate": 1e-2} | more.pop("sft", {})
    dpo = {"batch_size": 4, "max_steps": 8, "learning_rate": 1e-2} | more.pop("dpo", {})
    return TrainingOptions(
        method=method, sft=SftOptions(**sft), dpo=DpoOptions(**dpo), lora=LoraOptions(rank=4),
        dtype="float32", device="cpu", threads=1, **more,
    )  # fmt: skip


def train(folder, toy, settings, parent=None, rows=None):
    write_job(folder, toy, parent, 7, settings, demonstrations(), rows or pairs())
    events = []
    child.run(folder, events.append)
    return json.loads((folder / "training.json").read_text()), events


@pytest.fixture(scope="module")
def sft_adapter(tmp_path_factory, toy):
    folder = tmp_path_factory.mktemp("parent") / "training"
    result, events = train(folder, toy, options(sft={"max_steps": 30}))
    (stage,) = result["stages"]
    assert stage["losses"][-1] < stage["losses"][0]
    assert [event["step"] for event in events if "loss" in event] == list(range(1, 31))
    return folder / "adapter"


@pytest.mark.parametrize("is_child_of_sft", [False, True])
@pytest.mark.parametrize("chosen_reference", ["round_start", "base"])
def test_dpo_starts_from_its_reference(tmp_path, toy, sft_adapter, chosen_reference, is_child_of_sft):
    parent = sft_adapter if is_child_of_sft else None
    longer = options("dpo", dpo={"reference": chosen_reference, "max_steps": 24})
    result, _ = train(tmp_path / "t", toy, longer, parent)
    (stage,) = result["stages"]
    if chosen_reference == "round_start" or parent is None:
        assert abs(stage["losses"][0] - 0.6931) < 1e-4
        assert abs(stage["margins"][0]) < 1e-4
    else:
        assert abs(stage["margins"][0]) > 1e-3
    assert sum(stage["margins"][-4:]) > 4 * stage["margins"][0]
    adapter = tmp_path / "t" / "adapter"
    names = {path.relative_to(adapter).as_posix() for path in adapter.rglob("*")}
    assert names == {"adapter_config.json", "adapter_model.safetensors"}
    assert not [key for key in load_file(adapter / "adapter_model.safetensors") if "ref" in key]


def test_wrong_reference_is_caught(tmp_path, toy, sft_adapter, monkeypatch):
    plain = dpo_reference._plain
    monkeypatch.setattr(dpo_reference, "_plain", lambda trainer, which, row: plain(trainer, "base", row))
    with pytest.raises(TrainingError, match=r"reference is not the policy it should be \(round_start\)"):
        train(tmp_path / "t", toy, options("dpo"), sft_adapter)


def test_margin_at_the_first_step_is_caught(tmp_path, toy, sft_adapter, monkeypatch):
    computed = dpo_reference._computed

    def shifted(*args):
        return {i: {side: value - (i % 3) for side, value in row.items() if side} for i, row in computed(*args).items()}

    def off(*args):
        return {i: row | {"ref_chosen_logps": row["ref_chosen_logps"] - 3} for i, row in shifted(*args).items()}

    monkeypatch.setattr(dpo_reference, "_computed", off)
    monkeypatch.setattr(dpo_reference, "_gap", lambda *_: 0.0)
    with pytest.raises(TrainingError, match="the first DPO batch has margin"):
        train(tmp_path / "t", toy, options("dpo"), sft_adapter)


def with_sampled(rows, known, error=0.0):
    """The pairs with log-probabilities as a sampler reports them."""

    def target(side, row):
        old = getattr(row, side)
        value, tokens = known[row.id][side]
        return Target(text=old.text, complete=old.complete, ref_logprob=value + error * tokens, ref_tokens=tokens)

    return [
        row.model_copy(update={"chosen": target("chosen", row), "rejected": target("rejected", row)}) for row in rows
    ]


@pytest.fixture(scope="module")
def sampled(toy, tokenizer, sft_adapter):
    from superalign.training.preflight import encode_pairs

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(toy), str(sft_adapter)).eval()
    rows, _ = encode_pairs(pairs(), tokenizer, frozenset({3}), 256)

    def score(prompt, completion):
        with torch.no_grad():
            ids = torch.tensor([prompt + completion])
            log_probs = model(input_ids=ids).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        return float(log_probs.gather(1, ids[0, len(prompt) :, None]).sum()), len(completion)

    return {r.id: {"chosen": score(r.prompt, r.chosen), "rejected": score(r.prompt, r.rejected)} for r in rows}


def test_sampler_log_probabilities_are_the_reference(tmp_path, toy, sft_adapter, sampled):
    plain, _ = train(tmp_path / "a", toy, options("dpo"), sft_adapter)
    known, _ = train(tmp_path / "b", toy, options("dpo"), sft_adapter, with_sampled(pairs(), sampled))
    wrong, _ = train(tmp_path / "c", toy, options("dpo"), sft_adapter, with_sampled(pairs(), sampled, error=0.1))
    assert known["stages"][0]["reference"] == {"sampler": 24, "computed": 0}
    assert wrong["stages"][0]["reference"]["computed"] == 24
    assert "0.1 nats per token" in wrong["stages"][0]["reference"]["sampler_refused"]
    for one in (known, wrong):
        assert one["stages"][0]["losses"] == pytest.approx(plain["stages"][0]["losses"], abs=1e-4)


def test_sft_then_dpo_goes_on_from_sft(tmp_path, toy):
    result, _ = train(tmp_path / "t", toy, options("sft_then_dpo"))
    assert [stage["name"] for stage in result["stages"]] == ["sft", "dpo"]
    assert abs(result["stages"][1]["losses"][0] - 0.6931) < 1e-4


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_divergence_fails(tmp_path, toy, method):
    wild = {"learning_rate": 1e9, "warmup_ratio": 0.0, "max_steps": 30}
    with pytest.raises(TrainingError, match=rf"{method} diverged.*lower training {method} learning_rate"):
        train(tmp_path / "t", toy, options(method, sft=wild, dpo=wild))
    assert not (tmp_path / "t" / "adapter").exists()


def test_fast_head_gives_trl_numbers(toy):
    torch.manual_seed(1)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(toy), LoraConfig(r=4, target_modules="all-linear"))
    for name, weights in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    add_fused_lm_head(model.get_base_model(), outputs=("log_probs", "entropy", "mean_logits", "is_top1"))
    rows = [
        {"prompt_ids": [2, 4, 9, 9, 3], "chosen_ids": [10, 11, 12, 3], "rejected_ids": [13, 3]},
        {"prompt_ids": [2, 4], "chosen_ids": [14], "rejected_ids": [15, 16, 17, 18, 19, 20, 21]},
    ]
    batch = DataCollatorForPreference(pad_token_id=0)(rows)
    labels = batch["input_ids"].masked_fill(batch.pop("completion_mask") == 0, -100)

    def run():
        model.zero_grad()
        out = model(**batch, labels=labels, fused_lm_head=True)
        (out.log_probs.sum(1) * torch.tensor([1.0, 2.0, -1.0, -0.5])).sum().backward()
        grads = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
        return out.log_probs.detach(), out.is_top1, grads

    expected = run()
    for share_prompts in (False, True):
        restore = install(model, share_prompts=share_prompts, pairs=True)
        for got, wanted in zip(run(), expected, strict=True):
            torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)
        restore()


def play(folder: Path, kill_at: int = 0) -> list[int]:
    """Run a child on a job folder, perhaps kill it when it has made a step; the steps it made."""
    command, steps = [sys.executable, "-m", "superalign.training.child", str(folder)], []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            event = json.loads(line)
            steps += [event["step"]] if "loss" in event else []
            if kill_at and steps[-1:] == [kill_at]:
                process.kill()
    assert process.returncode == (-9 if kill_at else 0)
    return steps


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_killed_training_resumes_to_the_same_adapter(tmp_path, toy, sft_adapter, method):
    settings = options(method, sft={"max_steps": 12}, dpo={"max_steps": 12}, save_every_steps=3)
    for name in ("whole", "killed"):
        write_job(tmp_path / name, toy, sft_adapter, 7, settings, demonstrations(), pairs())
    assert play(tmp_path / "whole") == list(range(1, 13))
    play(tmp_path / "killed", kill_at=8)
    assert not (tmp_path / "killed" / "DONE").exists()
    assert play(tmp_path / "killed")[0] in (4, 7, 10)
    for name in ("training.json", "adapter/adapter_model.safetensors"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


async def test_child_trainer_trains_reuses_and_fails_with_a_message(tmp_path, toy):
    events, base = [], Checkpoint(id="base", base=toy)
    trainer = ChildTrainer(lambda _: options(), toy, tmp_path, 0, events.append)
    first = await trainer.train(demonstrations(), [], base, 1)
    assert first.adapter == "rounds/001/adapter"
    assert (tmp_path / first.adapter / "adapter_model.safetensors").exists()
    assert events[-1]["step"] == 8
    events.clear()
    assert await trainer.train(demonstrations(), [], base, 1) == first
    assert not events
    with pytest.raises(TrainingError, match="finished training on other examples"):
        await trainer.train(demonstrations(8), [], base, 1)
    second = await ChildTrainer(lambda _: options("dpo"), toy, tmp_path, 0).train([], pairs(), first, 2)
    assert (second.parent, second.id) == ("round-001", "round-002")
    wild = options(sft={"learning_rate": 1e9, "warmup_ratio": 0.0, "max_steps": 30})
    with pytest.raises(TrainingError, match="sft diverged"):
        await ChildTrainer(lambda _: wild, toy, tmp_path, 0).train(demonstrations(), [], second, 3)


def children_of(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line.split()[0]) for line in found.stdout.splitlines() if "superalign.training.child" in line]


async def test_cancelled_training_leaves_no_process(tmp_path, toy):
    stepped = asyncio.Event()
    slow = options(sft={"max_steps": 100_000})
    trainer = ChildTrainer(lambda _: slow, toy, tmp_path, 0, lambda event: stepped.set() if "loss" in event else None)
    task = asyncio.create_task(trainer.train(demonstrations(), [], Checkpoint(id="base", base=toy), 1))
    await asyncio.wait_for(stepped.wait(), 120)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.5)
    assert not children_of(os.getpid())


async def test_child_killed_from_outside_is_named(tmp_path, toy):
    def kill(event):
        if "loss" in event:
            for pid in children_of(os.getpid()):
                os.kill(pid, 9)

    trainer = ChildTrainer(lambda _: options(sft={"max_steps": 100_000}), toy, tmp_path, 0, kill)
    with pytest.raises(TrainingStopped, match="want of memory"):
        await trainer.train(demonstrations(), [], Checkpoint(id="base", base=toy), 1)


def test_child_ends_when_its_parent_is_killed(tmp_path, toy):
    folder = tmp_path / "t"
    write_job(folder, toy, None, 7, options(sft={"max_steps": 100_000}), demonstrations(), [])
    start = (
        "import os, subprocess, sys; "
        f"job = ['-m', 'superalign.training.child', {str(folder)!r}, str(os.getpid())]; "
        "child = subprocess.Popen([sys.executable, *job]); print(child.pid, flush=True); child.wait()"
    )
    parent = subprocess.Popen([sys.executable, "-c", start], stdout=subprocess.PIPE, text=True)
    pid = int(parent.stdout.readline())
    parent.stdout.readline()  # the child lives and reports
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split()[2]
        except FileNotFoundError:
            return
        if state == "Z":
            return
        time.sleep(0.2)
    pytest.fail("the child outlived its parent")
