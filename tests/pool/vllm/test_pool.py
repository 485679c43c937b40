"""What only an engine in processes of its own can get wrong."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import psutil
import pytest

from superalign.errors import PoolError
from superalign.pool.options import VllmOptions
from superalign.pool.vllm import process
from superalign.pool.vllm.client import VllmClient
from superalign.pool.vllm.pool import VllmPool
from superalign.protocols import Sampling
from superalign.records.training import Checkpoint
from tests.pool.pools import Start, ask, new_pool

COLOURS = ask("Name three colors.")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="vLLM runs on Linux only")
in_session = pytest.mark.asyncio(loop_scope="session")


@on_linux
@in_session
@pytest.mark.engine
@pytest.mark.parametrize("reference", [True, False])
async def test_a_planted_stale_swap_is_refused(
    start: Start, adapters: list[Checkpoint], monkeypatch: pytest.MonkeyPatch, reference: bool
) -> None:
    pool = await start("vllm")
    monkeypatch.setattr(pool, "options", pool.options.model_copy(update={"reference_canary": reference}))
    served = await pool.serve(adapters[0])
    names = set(pool._served)
    load = pool.client.llm.add_lora

    async def stale(request: object) -> object:
        request.lora_path = adapters[0].adapter  # type: ignore[attr-defined]
        return await load(request)

    monkeypatch.setattr(pool.client.llm, "add_lora", stale)
    with pytest.raises(PoolError, match="canary"):
        await pool.serve(adapters[1])
    # The checkpoint of before is still served, and the refused one is not.
    assert (await pool.score(served, COLOURS, "red")).total < 0
    assert set(pool._served) == names


@on_linux
@in_session
@pytest.mark.engine
async def test_a_merge_that_does_not_happen_is_refused(
    start: Start, adapters: list[Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = await start("vllm-merged")
    with monkeypatch.context() as patch:

        async def nothing(adapter: Path | None) -> None:
            return None

        patch.setattr(pool, "_reload", nothing)
        with pytest.raises(PoolError, match="canary"):
            await pool.serve(adapters[0])
    # Nothing is served under a name that might lie; the base can be restored.
    with pytest.raises(PoolError, match="no model"):
        await pool.score("base", COLOURS, "red")
    assert await pool.serve(Checkpoint(id="base", base=pool.model)) == "base"


@on_linux
@in_session
@pytest.mark.engine
@pytest.mark.parametrize("pays", [True, False])
async def test_auto_measures_once_and_merges_where_that_pays(
    model: str, tmp_path: Path, adapters: list[Checkpoint], monkeypatch: pytest.MonkeyPatch, pays: bool
) -> None:
    monkeypatch.setattr("superalign.pool.vllm.pool.MERGED_PAYS", 0.0 if pays else 1e9)
    options = VllmOptions(serving="auto", max_model_len=256, max_num_seqs=16, kv_cache_gb=1)
    pool = VllmPool(model, options, tmp_path / "engine.log", exclusive=True)
    await pool.start()
    try:
        before = await pool.score("base", COLOURS, "red")
        name = await pool.serve(adapters[0])
        cost = pool.adapter_cost
        assert cost is not None
        assert pool.merged is pays
        # The canary has compared the outputs of either way with transformers + PEFT; they differ from the base's.
        assert (await pool.score(name, COLOURS, "red")).total != pytest.approx(before.total, abs=1e-3)
        await pool.serve(adapters[1])
        assert pool.adapter_cost == cost
        assert await pool.serve(Checkpoint(id="base", base=model)) == "base"
        assert (await pool.score("base", COLOURS, "red")).total == pytest.approx(before.total, abs=1e-4)
    finally:
        await pool.close()


@on_linux
@in_session
@pytest.mark.engine
async def test_an_engine_that_dies_tells_every_waiting_request_and_leaves_no_process(
    model: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pool = new_pool("vllm", model, tmp_path / "engine.log")
    await pool.start()
    waiting = [
        asyncio.create_task(pool.generate("base", ask(f"Tell me of {n}."), Sampling(max_tokens=200))) for n in range(3)
    ]
    await asyncio.sleep(1.0)
    for pid in pool.client.pids:
        os.kill(pid, signal.SIGKILL)
    replies = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(reply, PoolError) for reply in replies), replies
    assert "engine.log" in str(replies[0])
    pids = pool.client.pids
    await pool.close()
    await pool.close()
    assert not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(PoolError, match="closed"):
        await pool.generate("base", COLOURS, Sampling())
    # vLLM's own words are in its log and nowhere else.
    assert "vllm" in (tmp_path / "engine.log").read_text().lower()
    printed = capfd.readouterr()
    assert not {"INFO", "WARNING", "Triton", "Loading"} & set((printed.out + printed.err).replace(":", " ").split())


async def test_merged_serving_needs_an_engine_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(PoolError, match=r"other roles.*pool\.serving"):
        VllmPool("model", VllmOptions(serving="merged"), tmp_path / "log")


def test_the_last_error_of_a_log_is_the_inner_one(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_text(
        "(Worker pid=1) ERROR 11-21 01:37:03 [x.py:1] RuntimeError: CPU Generator does not use offset\n"
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.\n\n"
    )
    assert process.last_error(log) == "RuntimeError: CPU Generator does not use offset"
    assert process.last_error(tmp_path / "missing") == "no log"


@on_linux
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            OSError("We couldn't connect.\nCheck it."),
            "model nobody/nothing can't be loaded: We couldn't connect. Check it;",
        ),
        (
            ValueError("1 validation error\n  no such repository"),
            "vLLM did not start: 1 validation error no such reposi",
        ),
    ],
)
def test_a_model_that_is_nowhere_is_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, said: str
) -> None:
    def fails(_: VllmClient) -> None:
        (tmp_path / "engine.log").write_text("INFO 11-21 importing.py: Triton is not installed\n")
        raise fault

    monkeypatch.setattr(process, "check_platform", lambda: None)
    monkeypatch.setattr(VllmClient, "_build", fails)
    with pytest.raises(PoolError) as caught:
        VllmClient("nobody/nothing", VllmOptions(), tmp_path / "engine.log", lora=False).start()
    assert str(caught.value).startswith(said)


def test_a_start_leaves_the_environment_as_it_was(tmp_path: Path) -> None:
    before = dict(os.environ)
    with process.quiet_start({"OMP_NUM_THREADS": "3"}, tmp_path / "engine.log"):
        assert os.environ["OMP_NUM_THREADS"] == "3"
        os.environ["LD_PRELOAD_OF_VLLM"] = "x"
    assert dict(os.environ) == before


@on_linux
@in_session
@pytest.mark.engine
async def test_a_reply_is_constrained_to_its_schema(start: Start) -> None:
    verdict = {
        "type": "object", "properties": {"refusal": {"enum": ["none", "full"]}, "harm": {"enum": [0, 3]}},
        "required": ["refusal", "harm"], "additionalProperties": False,
    }  # fmt: skip
    [reply] = await (await start("vllm")).generate("base", COLOURS, Sampling(max_tokens=48, json_schema=verdict))
    found = json.loads(reply.text)
    assert found["refusal"] in ("none", "full")
    assert found["harm"] in (0, 3)
