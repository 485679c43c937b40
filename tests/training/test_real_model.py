"""Training on the embedded model (`superalign models pull smollm2-135m`, which `make test` does)."""

import json

import pytest

from superalign.models.packaged import resolve
from superalign.records.rollout import Message
from superalign.records.training import Demonstration, PreferencePair, Target
from superalign.training import child
from superalign.training.job import write_job
from superalign.training.options import DpoOptions, SftOptions, TrainingOptions

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def model() -> str:
    return str(resolve("smollm2-135m"))


def test_sft_then_dpo(tmp_path, model):
    prompt = (Message(role="user", content="Name a fruit."),)
    rows = [
        Demonstration(id="d0", origin="expert", kind="ordinary", source="t", prompt=prompt,
                      completion=Target(text="An apple.")),
        Demonstration(id="d1", origin="own", kind="ordinary", source="t", prompt=prompt,
                      completion=Target(text="A fruit that many people", complete=False)),
    ]  # fmt: skip
    pair = PreferencePair(
        id="p0", origin="expert", kind="ordinary", source="t", prompt=prompt,
        chosen=Target(text="An apple."), rejected=Target(text="I cannot help with that request."),
    )  # fmt: skip
    options = TrainingOptions(
        method="sft_then_dpo",
        sft=SftOptions(max_steps=3, batch_size=2, warmup_ratio=0.0),
        dpo=DpoOptions(max_steps=2, batch_size=1),
    )
    write_job(tmp_path, model, None, 1, options, rows, [pair])
    child.run(tmp_path, lambda event: None)
    sft, dpo = json.loads((tmp_path / "training.json").read_text())["stages"]
    assert sft["losses"][-1] < sft["losses"][0]
    assert abs(dpo["losses"][0] - 0.6931) < 2e-2
