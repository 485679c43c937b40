"""`superalign bench pool`: what orchestration costs, on one engine, with equal prompts and lengths in every variant.

The unit of work is a rollout: an attack, n answers to it, a critique of each. Every reply has exactly its length (end
tokens are ignored), so all variants generate the same tokens, and prompts are made of token ids that don't depend on
replies, so they also read the same. Variants take turns, so that another program on the machine hurts all alike.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superalign.errors import PoolError
from superalign.pool.options import VllmOptions
from superalign.protocols import Sampling
from superalign.records.base import Record
from superalign.records.rollout import Generation, Message, Messages
from superalign.records.training import Checkpoint

WORDS = ("river", "stone", "bread", "music", "winter", "garden", "engine", "paper", "school", "window")
ATTACK, ANSWER, CRITIQUE = "Write a question about", "Answer at length: what do you know of", "Judge this text on"


class Variant(Record):
    """One way to do the work."""

    tokens_per_s: float
    """Generated tokens by wall clock; the median of the repeats."""
    seconds: float
    tokens: int
    """Generated tokens of one repeat; equal in all variants."""


class PoolBench(Record):
    """Figures of one run."""

    model: str
    device: str
    dtype: str
    threads: int | None
    rollouts: int
    samples: int
    """Answers per rollout."""
    lengths: tuple[int, int, int]
    """Tokens per attack, answer and critique."""
    raw: Variant
    """All requests handed to the engine at once."""
    orchestrated: Variant
    """The rollouts as coroutines over the pool, each stage after the one before it in its own rollout."""
    barriers: Variant
    """The same with all attacks before all answers before all critiques."""
    orchestrated_by_raw: float
    """Goal: at least 0.95."""
    orchestrated_by_barriers: float
    adapter: Variant | None = None
    """The raw work with every answer from a LoRA adapter."""
    engine_start_s: float
    adapter_swap_s: float | None = None
    """Loading an adapter into the running engine."""
    canary_s: float | None = None
    """Proving that the outputs are the new adapter's."""
    peak_memory_gb: float
    """Most resident memory of this process and the engine's together."""


def run(
    model: str = "smollm2-135m",
    out: str | Path | None = None,
    rollouts: int = 24,
    samples: int = 2,
    attack_tokens: int = 24,
    answer_tokens: int = 48,
    critique_tokens: int = 24,
    repeats: int = 3,
    in_flight: int = 64,
    adapter: str | Path | None = None,
    dtype: str = "auto",
) -> PoolBench:
    """Measure; writes the record to `out` as JSON when given. in_flight: rollouts that run at once."""
    from superalign.models.packaged import resolve

    options = VllmOptions.model_validate({"dtype": dtype, "serving": "adapter"})
    bench = _Bench(str(resolve(model)), options, rollouts, samples, (attack_tokens, answer_tokens, critique_tokens))
    result = asyncio.run(bench.measure(repeats, in_flight, Path(adapter) if adapter else None))
    if out is not None:
        Path(out).write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return result


@dataclass
class _Bench:
    model: str
    options: VllmOptions
    rollouts: int
    samples: int
    lengths: tuple[int, int, int]
    pool: Any = None
    peak_bytes: int = 0
    repeat: int = 0

    async def measure(self, repeats: int, in_flight: int, adapter: Path | None) -> PoolBench:
        from superalign.pool.vllm.pool import VllmPool

        with tempfile.TemporaryDirectory() as scratch:
            started = time.monotonic()
            self.pool = VllmPool(self.model, self.options, Path(scratch) / "engine.log")
            self.pool.exact_lengths = True
            await self.pool.start()
            start_s = time.monotonic() - started
            watcher = asyncio.create_task(self._watch_memory())
            try:
                return await self._measure(repeats, in_flight, start_s, adapter or random_adapter(self.model, scratch))
            finally:
                watcher.cancel()
                await self.pool.close()

    async def _measure(self, repeats: int, in_flight: int, start_s: float, adapter: Path) -> PoolBench:
        limit = asyncio.Semaphore(in_flight)
        ways: dict[str, Callable[[], Awaitable[int]]] = {
            "raw": lambda: self.raw("base"),
            "orchestrated": lambda: self.orchestrated(limit),
            "barriers": self.with_barriers,
        }
        served = await self.pool.serve(Checkpoint(id="bench", base=self.model, adapter=str(adapter)))
        swap = dict(self.pool.last_swap_s)
        ways["adapter"] = lambda: self.raw(served)
        await self.raw("base")  # the first steps of an engine are slower
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        tokens: dict[str, int] = {}
        for _ in range(repeats):
            for name, way in ways.items():
                self.repeat += 1
                await self.pool.client.llm.reset_prefix_cache()
                started = time.monotonic()
                tokens[name] = await way()
                seconds[name].append(time.monotonic() - started)
        if len(set(tokens.values())) != 1:
            raise PoolError(f"the variants did different work: {tokens} tokens", "this is a fault of the benchmark")
        variants = {}
        for name, taken in seconds.items():
            middle = statistics.median(taken)
            variants[name] = Variant(tokens_per_s=tokens[name] / middle, seconds=middle, tokens=tokens[name])
        raw, orchestrated = variants["raw"], variants["orchestrated"]
        return PoolBench(
            model=self.model,
            device="gpu" if self.pool.client.gpu else "cpu",
            dtype=self.pool.client.dtype,
            threads=self.options.threads,
            rollouts=self.rollouts,
            samples=self.samples,
            lengths=self.lengths,
            **variants,
            orchestrated_by_raw=orchestrated.tokens_per_s / raw.tokens_per_s,
            orchestrated_by_barriers=orchestrated.tokens_per_s / variants["barriers"].tokens_per_s,
            engine_start_s=start_s,
            adapter_swap_s=swap["load"],
            canary_s=swap["canary"],
            peak_memory_gb=self.peak_bytes / 1e9,
        )

    def requests(self, rollout: int) -> list[tuple[Messages, int, int]]:
        """(messages, samples, tokens) of a rollout's attack, answers and critiques."""
        topic = f"the {WORDS[rollout % 10]} and the {WORDS[rollout // 10 % 10]}, number {rollout} of {self.repeat}"
        attack, answer, critique = self.lengths
        judged = [(_ask(f"{CRITIQUE} {topic}, sample {number}."), 1, critique) for number in range(self.samples)]
        return [(_ask(f"{ATTACK} {topic}."), 1, attack), (_ask(f"{ANSWER} {topic}?"), self.samples, answer), *judged]

    async def raw(self, model: str) -> int:
        """Every request at once through AsyncLLM, without the pool."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        chat, llm, lora = self.pool.client.chat, self.pool.client.llm, self.pool._served[model]

        async def one(name: str, messages: Messages, n: int, tokens: int) -> int:
            params = SamplingParams(
                n=n, temperature=1.0, seed=1, max_tokens=tokens, ignore_eos=True, detokenize=False, logprobs=0,
                flat_logprobs=True, output_kind=RequestOutputKind.FINAL_ONLY,
            )  # fmt: skip
            prompt = {"prompt_token_ids": chat.prompt(messages)}
            [final] = [output async for output in llm.generate(prompt, params, name, lora_request=lora)]
            return sum(len(reply.token_ids) for reply in final.outputs)

        work = [request for rollout in range(self.rollouts) for request in self.requests(rollout)]
        done = [one(f"raw-{self.repeat}-{number}", *request) for number, request in enumerate(work)]
        return sum(await asyncio.gather(*done))

    async def ask(self, messages: Messages, n: int, tokens: int) -> int:
        """One request through the pool, of exactly this length."""
        sampling = Sampling(n=n, temperature=1.0, seed=1, max_tokens=tokens)
        replies: list[Generation] = await self.pool.generate("base", messages, sampling)
        return sum(reply.num_tokens for reply in replies)

    async def orchestrated(self, limit: asyncio.Semaphore) -> int:
        """Rollouts that know nothing of each other."""

        async def play(rollout: int) -> int:
            async with limit:
                attack, answer, *critiques = self.requests(rollout)
                done = await self.ask(*attack)
                done += await self.ask(*answer)
                return done + sum(await asyncio.gather(*(self.ask(*critique) for critique in critiques)))

        return sum(await asyncio.gather(*(play(rollout) for rollout in range(self.rollouts))))

    async def with_barriers(self) -> int:
        """All attacks, then all answers, then all critiques."""
        work = [self.requests(rollout) for rollout in range(self.rollouts)]
        done = 0
        for stage in (slice(0, 1), slice(1, 2), slice(2, None)):
            done += sum(await asyncio.gather(*(self.ask(*request) for requests in work for request in requests[stage])))
        return done

    async def _watch_memory(self) -> None:
        import psutil  # type: ignore[import-untyped]

        while True:
            processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
            resident = 0
            for process in processes:
                try:
                    resident += process.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak_bytes = max(self.peak_bytes, resident)
            await asyncio.sleep(1.0)


def _ask(text: str) -> Messages:
    return (Message(role="user", content=text),)


def random_adapter(model: str, scratch: str) -> Path:
    """A LoRA adapter of rank 16 on all linear layers, with small random weights."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    net: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    config = LoraConfig(r=16, lora_alpha=16, target_modules="all-linear", init_lora_weights=False)
    lora: Any = get_peft_model(net, config)
    with torch.no_grad():
        for name, weight in lora.named_parameters():
            if "lora_B" in name:
                weight.mul_(0.1)
    lora.save_pretrained(scratch)
    return Path(scratch)
