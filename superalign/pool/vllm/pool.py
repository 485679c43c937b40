"""The pool of a run: vLLM's async engine, all roles and all checkpoints in one continuous batch."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from superalign.errors import PoolError
from superalign.pool import canary, reference_forward
from superalign.pool.drain import RequestLatch, adapter_folder, require_served, surplus
from superalign.pool.options import VllmOptions
from superalign.pool.vllm.client import VllmClient
from superalign.protocols import PoolStats, Sampling, Score
from superalign.records.rollout import Generation, Messages
from superalign.records.training import Checkpoint

MERGED_PAYS = 1.15
"""`auto` merges when the adapter makes generation slower by more than this factor."""


class VllmPool:
    """An InferencePool over one AsyncLLM; `await start()` before use.

    exclusive: no other role uses the base model in this engine, so its weights may be replaced (serving `merged`).
    """

    def __init__(self, model: str, options: VllmOptions, log_path: Path, *, exclusive: bool = False) -> None:
        if options.serving == "merged" and not exclusive:
            raise PoolError(
                "serving `merged` replaces the base model that other roles of this engine use",
                "give those roles a model of their own, or set pool.serving to adapter or auto",
            )
        self.merged = options.serving == "merged"
        """Whether checkpoints replace the engine's weights."""
        self.client = VllmClient(model, options, log_path, lora=not self.merged)
        self.model, self.options = model, options
        self.exact_lengths = False
        """For benchmarks: every reply has `max_tokens` tokens, the end token is ignored."""
        self.last_swap_s: dict[str, float] = {}
        """Seconds of the last swap: `load` and `canary`."""
        self.adapter_cost: float | None = None
        """Time to generate with the adapter over time without it, as `auto` measured it."""
        self._measure = options.serving == "auto" and exclusive
        self._gate = RequestLatch()
        self._swap = asyncio.Lock()
        self._ids = itertools.count(1)
        self._served: dict[str, Any] = {"base": None}
        self._weights: tuple[str | None, list[float]] = (None, [])

    async def start(self) -> None:
        """Start the engine's processes (20 to 40 s); raises PoolError with the last error of its log."""
        self.client.start()
        self._weights = (None, await self.client.score(*self._canary(), None))

    async def generate(self, model: str, messages: Messages | str, sampling: Sampling) -> list[Generation]:
        """Sample `sampling.n` replies; raises PoolError for an unknown model or a prompt that leaves no room."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        chat = self._check(model).chat
        prompt, max_new_tokens = chat.asked(messages, sampling.max_tokens, self.options.max_model_len)
        params = SamplingParams(
            n=sampling.n,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            max_tokens=max_new_tokens,
            seed=None if sampling.seed is None or sampling.temperature == 0 else sampling.seed % 2**62,
            stop=list(sampling.stop),
            stop_token_ids=[] if self.exact_lengths else [chat.end_id],
            ignore_eos=self.exact_lengths,
            logprobs=0,
            flat_logprobs=True,
            detokenize=bool(sampling.stop),
            output_kind=RequestOutputKind.FINAL_ONLY,
            structured_outputs=StructuredOutputsParams(json=sampling.json_schema) if sampling.json_schema else None,
        )
        async with self._gate.request():
            output = await self._check(model).ask(prompt, params, self._served[model])
        generations = [
            Generation(
                text=one.text if sampling.stop else chat.text(one.token_ids),
                num_tokens=len(one.token_ids),
                logprob=one.cumulative_logprob,
                finish="stop" if one.finish_reason == "stop" else "length",
                prompt_tokens=len(prompt),
            )
            for one in sorted(output.outputs, key=lambda one: one.index)
        ]
        self._gate.count(len(prompt), generations)
        return generations

    async def score(self, model: str, messages: Messages | str, continuation: str, *, end: bool = False) -> Score:
        """Log-probabilities of `continuation` as the next assistant turn (no messages: as plain text)."""
        limit = self.options.max_model_len
        parts = self._check(model).chat.continuation(messages, continuation, end=end, max_model_len=limit)
        values, greedy = list[float](), True
        for tokens, start in parts:
            async with self._gate.request():
                logprobs, likeliest = await self._check(model).ranked(tokens, start, self._served[model])
            values, greedy = values + logprobs, greedy and likeliest
        self._gate.count(sum(len(tokens) for tokens, _ in parts))
        return Score(token_logprobs=tuple(values), greedy=greedy)

    async def serve(self, checkpoint: Checkpoint) -> str:
        """Make a checkpoint available without a restart, prove it with a canary, return its name."""
        adapter = adapter_folder(checkpoint)
        async with self._swap:
            if self.merged:
                return await self._serve_merged(checkpoint.id, adapter)
            if adapter is None:
                return "base"
            name = await self._serve_adapter(checkpoint.id, adapter)
            if self._measure:
                self._measure = False
                self.adapter_cost = await self._measure_cost(name)
                if self.adapter_cost > MERGED_PAYS:
                    self.merged = True
                    return await self._serve_merged(checkpoint.id, adapter)
            return name

    async def _serve_adapter(self, checkpoint: str, adapter: Path) -> str:
        from vllm.lora.request import LoRARequest

        # A name and an id are never used twice: vLLM keys its prefix cache by them (vllm#42125).
        number, started = next(self._ids), time.monotonic()
        name = f"{checkpoint}#{number}"
        request = LoRARequest(name, number, str(adapter))
        await self.client.call("an adapter was loaded", self.client.llm.add_lora(request))
        self.last_swap_s = {"load": time.monotonic() - started}
        try:
            await self._prove(request, adapter)
        except PoolError:
            await self._unload(request)
            raise
        self._served[name] = request
        for old in surplus(self._served):
            await self._unload(self._served.pop(old))
        return name

    async def _unload(self, request: Any) -> None:
        await self.client.call("an adapter was removed", self.client.llm.remove_lora(request.lora_int_id))

    async def _serve_merged(self, checkpoint: str, adapter: Path | None) -> str:
        """Replace the weights; the names served until now are unknown afterwards, whatever happens."""
        name = f"{checkpoint}#{next(self._ids)}" if adapter else "base"
        async with self._gate.closed():
            started = time.monotonic()
            unloaded, self._served = self._served, {}
            for request in unloaded.values():
                if request is not None:
                    await self._unload(request)
            await self._reload(adapter)
            self.last_swap_s = {"load": time.monotonic() - started}
            await self._prove(None, adapter)
            self._served = {name: None}
        return name

    async def _reload(self, adapter: Path | None) -> None:
        llm = self.client.llm
        rpc = llm.collective_rpc("superalign_reload", args=(str(adapter) if adapter else None,))
        await self.client.call("its weights were replaced", rpc)
        await self.client.call("the prefix cache was reset", llm.reset_prefix_cache())

    def _canary(self) -> tuple[list[int], int]:
        return canary.encoded(self.client.chat, self.options.max_model_len)

    async def _prove(self, lora: Any, adapter: Path | None) -> None:
        """Raises PoolError unless the canary's scores are those of the base model with this adapter."""
        started = time.monotonic()
        digest_before, previous = self._weights
        tokens, start = self._canary()
        served = await self.client.score(tokens, start, lora)
        by_reference, expected = self.options.reference_canary, None
        if reference_forward.is_cheap(self.model) if by_reference is None else by_reference:
            expected = await asyncio.to_thread(reference_forward.score, self.model, adapter, tokens, start)
        digest = await asyncio.to_thread(reference_forward.digest, adapter)
        canary.prove(
            adapter or self.model,
            served,
            previous,
            expected,
            dtype=self.client.dtype,
            changed=digest != digest_before,
            hint=f"the old checkpoint should stay in use; the engine's log is {self.client.log}",
        )
        self._weights = (digest, served)
        self.last_swap_s["canary"] = time.monotonic() - started

    async def _measure_cost(self, name: str) -> float:
        """Seconds for a short burst with the adapter over seconds without it."""
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True, detokenize=False)
        seconds: list[float] = []
        for lora in (None, self._served[name], None, self._served[name]):
            started = time.monotonic()
            # Different prompts, so that the second burst finds nothing in the prefix cache.
            encode, burst = self.client.chat.encode, len(seconds)
            prompts = [encode(f"{burst} {number} How do I open a door?") for number in range(16)]
            await asyncio.gather(*(self.client.ask(prompt, params, lora) for prompt in prompts))
            seconds.append(time.monotonic() - started)
        return seconds[3] / max(seconds[2], 1e-6)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Wait for requests in flight, hold new ones, free a GPU's memory; a CPU has nothing to free but its cores."""
        async with self._swap, self._gate.closed():
            llm = self.client.llm
            if self.client.gpu and llm is not None:
                await self.client.call("it went to sleep", llm.sleep(level=1))
            try:
                yield
            finally:
                if self.client.gpu and llm is not None:
                    await self.client.call("it woke up", llm.wake_up())
                    await self._check_awake()

    async def _check_awake(self) -> None:
        """Raises PoolError when waking changed the weights (seen with LoRA, vllm#53888)."""
        scores = await self.client.score(*self._canary(), next(reversed(self._served.values()), None))
        if canary.distance(scores, self._weights[1]) > canary.TOLERANCE[self.client.dtype]:
            raise PoolError("the engine's outputs changed while it slept", "report it with the engine's log")

    def _check(self, model: str) -> VllmClient:
        require_served(model, self._served, is_open=self.client.llm is not None, merged=self.merged)
        return self.client

    def stats(self) -> PoolStats:
        """Counts since the start."""
        return self._gate.stats

    async def close(self) -> None:
        """Stop the engine's processes; a second call does nothing."""
        self.client.close()
