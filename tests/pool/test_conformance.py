"""Every promise of InferencePool, on every pool."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from superalign.errors import PoolError
from superalign.pool.drain import RequestLatch
from superalign.protocols import InferencePool, Sampling
from superalign.records.training import Checkpoint
from tests.pool.pools import MAX_LEN, Start, ask, new_pool

ENGINE = [pytest.param(name, marks=pytest.mark.engine) for name in ("transformers", "vllm")]
ALL = ["scripted", *ENGINE]
MERGING = [pytest.param("vllm-merged", marks=pytest.mark.engine)]
COLOURS = ask("Name three colors.")

pytestmark = pytest.mark.asyncio(loop_scope="session")
every_pool = pytest.mark.parametrize("name", ALL)


@every_pool
async def test_obeys_the_protocol(name: str, start: Start) -> None:
    assert isinstance(await start(name), InferencePool)


@every_pool
async def test_equal_seeds_give_equal_texts_alone_and_in_a_batch(name: str, start: Start) -> None:
    pool = await start(name)
    sampling = Sampling(temperature=1.0, top_p=0.95, max_tokens=12, seed=7)
    [alone] = await pool.generate("base", COLOURS, sampling)
    crowd = [
        pool.generate("base", ask(f"Tell me of number {n}."), Sampling(temperature=1.0, max_tokens=8 + n, seed=n))
        for n in range(5)
    ]
    [[together], *_] = await asyncio.gather(pool.generate("base", COLOURS, sampling), *crowd)
    assert together.text == alone.text
    assert together.logprob == pytest.approx(alone.logprob, abs=1e-3)
    others = [await pool.generate("base", COLOURS, sampling.model_copy(update={"seed": seed})) for seed in (8, 9, 10)]
    assert any(other.text != alone.text for [other] in others)


@every_pool
async def test_n_samples_of_one_request_differ_and_come_in_order(name: str, start: Start) -> None:
    pool = await start(name)
    sampling = Sampling(n=4, temperature=1.0, max_tokens=10, seed=100)
    first, second = [await pool.generate("base", COLOURS, sampling) for _ in range(2)]
    assert len(first) == 4
    assert [one.text for one in first] == [one.text for one in second]
    assert len({one.text for one in first}) > 1


@every_pool
async def test_a_reply_ends_by_itself_or_is_cut(name: str, start: Start) -> None:
    pool = await start(name)
    [cut] = await pool.generate("base", COLOURS, Sampling(max_tokens=2))
    assert (cut.finish, cut.num_tokens, cut.complete) == ("length", 2, False)
    [whole] = await pool.generate("base", COLOURS, Sampling(max_tokens=100))
    assert whole.finish == "stop"
    assert whole.num_tokens <= 100
    assert whole.prompt_tokens > 0
    assert "<|" not in whole.text
    # Greedy: the cut reply is how the whole one begins.
    assert whole.text.startswith(cut.text)


@every_pool
async def test_a_stop_string_ends_the_text_before_it(name: str, start: Start) -> None:
    pool = await start(name)
    [whole] = await pool.generate("base", COLOURS, Sampling(max_tokens=60))
    middle = whole.text[len(whole.text) // 2 :].strip()[:3]
    [stopped] = await pool.generate("base", COLOURS, Sampling(max_tokens=60, stop=(middle,)))
    assert stopped.text == whole.text[: whole.text.index(middle)]
    assert stopped.finish == "stop"


@every_pool
async def test_the_samplers_logprob_is_the_scores_total(name: str, start: Start) -> None:
    pool = await start(name)
    # Greedy and sampled: the log-probability is that of temperature 1 in both.
    for sampling in (Sampling(max_tokens=80), Sampling(max_tokens=80, temperature=0.3, seed=1)):
        [reply] = await pool.generate("base", COLOURS, sampling)
        score = await pool.score("base", COLOURS, reply.text, end=reply.complete)
        assert len(score.token_logprobs) == reply.num_tokens
        assert score.total == pytest.approx(reply.logprob, abs=0.01)


@every_pool
async def test_scores_add_up(name: str, start: Start) -> None:
    pool = await start(name)
    text = " red, green and blue"
    whole = await pool.score("base", COLOURS, text)
    ended = await pool.score("base", COLOURS, text, end=True)
    plain = await pool.score("base", (), text)
    assert all(value <= 0 for value in ended.token_logprobs)
    assert ended.token_logprobs[:-1] == pytest.approx(whole.token_logprobs, abs=1e-3)
    assert len(plain.token_logprobs) == len(whole.token_logprobs)
    assert plain.total != pytest.approx(whole.total, abs=1e-3)


@every_pool
async def test_unknown_models_and_prompts_without_room_are_refused(name: str, start: Start) -> None:
    pool = await start(name)
    with pytest.raises(PoolError, match=r"no model 'round-009'.*base"):
        await pool.generate("round-009", COLOURS, Sampling())
    with pytest.raises(PoolError, match="max_model_len"):
        await pool.generate("base", ask("word " * 400), Sampling())
    with pytest.raises(PoolError, match="max_model_len"):
        await pool.score("base", COLOURS, "word " * 400)
    if name != "scripted":
        with pytest.raises(PoolError, match="full path"):
            await pool.serve(Checkpoint(id="round-001", base="x", adapter="does/not/exist"))


@every_pool
async def test_paused_holds_requests_and_waits_for_those_in_flight(name: str, start: Start) -> None:
    pool = await start(name)
    before = asyncio.create_task(pool.generate("base", COLOURS, Sampling(max_tokens=20)))
    await asyncio.sleep(0)
    async with pool.paused():
        assert before.done()
        during = asyncio.create_task(pool.generate("base", COLOURS, Sampling(max_tokens=3)))
        await asyncio.sleep(0.3)
        assert not during.done()
    assert len(await during) == 1


@every_pool
async def test_stats_count(name: str, start: Start) -> None:
    pool = await start(name)
    before = pool.stats()
    replies = await pool.generate("base", COLOURS, Sampling(n=2, temperature=1.0, seed=1, max_tokens=5))
    after = pool.stats()
    assert after.requests == before.requests + 1
    assert after.generated_tokens - before.generated_tokens == sum(reply.num_tokens for reply in replies)


@pytest.mark.parametrize("name", [*ALL, *MERGING])
async def test_a_served_adapter_answers_under_a_fresh_name(name: str, start: Start, adapters: list[Checkpoint]) -> None:
    pool = await start(name)
    base_score = await pool.score("base", COLOURS, "red")
    [base_text] = await pool.generate("base", COLOURS, Sampling(max_tokens=20))
    first = await pool.serve(adapters[0])
    again = await pool.serve(adapters[0])
    assert len({first, again, "base"}) == 3
    second = await pool.serve(adapters[1])
    scores = {
        model: await pool.score(model, COLOURS, "red") for model in ((second,) if "merged" in name else (again, second))
    }
    assert all(score.total != pytest.approx(base_score.total, abs=1e-3) for score in scores.values())
    if "merged" in name:
        # One set of weights: what was served before is gone, and says so.
        for gone in ("base", first, again):
            with pytest.raises(PoolError, match="serving"):
                await pool.score(gone, COLOURS, "red")
        assert await pool.serve(Checkpoint(id="base", base=adapters[0].base)) == "base"
    # The base is what it was, also while an adapter's request shares its batch.
    if "merged" not in name:
        assert scores[again].total != pytest.approx(scores[second].total, abs=1e-3)
        crowd = [pool.generate(second, ask(f"Tell me of {n}."), Sampling(max_tokens=20)) for n in range(3)]
        [[mixed], *_] = await asyncio.gather(pool.generate("base", COLOURS, Sampling(max_tokens=20)), *crowd)
        assert mixed.text == base_text.text
        assert mixed.logprob == pytest.approx(base_text.logprob, abs=1e-3)
    assert (await pool.score("base", COLOURS, "red")).total == pytest.approx(base_score.total, abs=1e-4)


@pytest.mark.parametrize("name", [*ENGINE, *MERGING])
async def test_a_served_adapter_says_what_transformers_and_peft_say(
    name: str, start: Start, adapters: list[Checkpoint], model: str
) -> None:
    from superalign.pool import reference_forward as reference

    pool = await start(name)
    served = await pool.serve(adapters[0])
    chat = pool.chat if name == "transformers" else pool.client.chat
    [(tokens, begin)] = chat.continuation(COLOURS, "Red, green and blue.", end=True, max_model_len=256)
    score = await pool.score(served, COLOURS, "Red, green and blue.", end=True)
    expected = reference.score(model, reference_path(adapters[0]), tokens, begin)
    assert score.token_logprobs == pytest.approx(expected, abs=5e-3)
    # Generation goes another way (cached keys, one token a step) and must agree with it, too.
    [reply] = await pool.generate(served, COLOURS, Sampling(max_tokens=8))
    again = await pool.score(served, COLOURS, reply.text, end=reply.complete)
    if len(again.token_logprobs) == reply.num_tokens:
        assert again.total == pytest.approx(reply.logprob, abs=0.01)
    await pool.serve(Checkpoint(id="base", base=model))


@pytest.mark.parametrize("name", ENGINE)
async def test_a_plain_text_longer_than_the_window_is_scored_to_its_end(name: str, start: Start, model: str) -> None:
    from superalign.pool import reference_forward as reference

    pool, text = await start(name), " ".join(["The tram stops at the old mill. It rains."] * 40)
    chat = pool.chat if name == "transformers" else pool.client.chat
    windows = chat.continuation("", text, end=False, max_model_len=MAX_LEN)
    found = await pool.score("base", "", text)
    assert len(windows) == 2
    assert len(found.token_logprobs) == len(chat.encode(text))
    expected = reference.score(model, None, *windows[-1])
    assert found.token_logprobs[-len(expected) :] == pytest.approx(expected, abs=5e-3)
    assert not found.greedy
    assert (await pool.score("base", text, " The tram stops")).greedy  # what it has read forty times


@pytest.mark.parametrize("name", ["scripted", pytest.param("transformers", marks=pytest.mark.engine)])
async def test_close_twice_and_ask_afterwards(name: str, model: str) -> None:
    """Of vLLM in test_vllm.py, with an engine that may end."""
    pool = new_pool(name, model, None)  # type: ignore[arg-type]
    if name != "scripted":
        await pool.start()
    await pool.close()
    await pool.close()
    with pytest.raises(PoolError, match="closed"):
        await pool.generate("base", COLOURS, Sampling())


async def test_a_gate_serves_one_closed_section_at_a_time() -> None:
    gate, seen = RequestLatch(), []

    async def section(number: int) -> None:
        async with gate.closed():
            seen.append(f"{number} in")
            await asyncio.sleep(0.01)
            seen.append(f"{number} out")

    async def request() -> None:
        async with gate.request():
            seen.append("request")

    await asyncio.gather(section(1), section(2), request())
    assert seen[:2] == ["1 in", "1 out"]
    assert seen.index("2 out") == seen.index("2 in") + 1
    assert "request" in seen


def reference_path(checkpoint: Checkpoint) -> Path:
    assert checkpoint.adapter is not None
    return Path(checkpoint.adapter)
