"""The reference pool: plain transformers + PEFT in this process, for machines without vLLM and to check it against."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superalign.errors import PoolError
from superalign.pool import canary, reference_forward
from superalign.pool.chat_template import Chat
from superalign.pool.drain import RequestLatch, adapter_folder, require_served, surplus
from superalign.pool.options import TransformersOptions
from superalign.protocols import PoolStats, Sampling, Score
from superalign.records.rollout import Generation, Messages
from superalign.records.training import Checkpoint


@dataclass
class Job:
    """Work for the model's thread: rows to decode together, or one sequence to score."""

    model: str
    kind: str
    items: list[Any]
    done: asyncio.Future[Any]


class TransformersPool:
    """An InferencePool whose requests are gathered into batches by one worker thread; `await start()` before use."""

    def __init__(self, model: str, options: TransformersOptions) -> None:
        self.model, self.options = model, options
        self.chat: Chat
        self.last_swap_s: dict[str, float] = {}
        self._net: Any = None
        self._peft: Any = None
        self._gate = RequestLatch()
        self._swap = asyncio.Lock()
        self._ids = itertools.count(1)
        self._served: dict[str, str | None] = {"base": None}
        self._jobs: asyncio.Queue[Job] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the model; raises PoolError or ModelError."""
        try:
            await asyncio.to_thread(self._load)
        except (OSError, ValueError, RuntimeError) as error:
            raise PoolError(f"{self.model} could not be loaded: {error!s:.300}", "check the folder or id") from error
        self._worker = asyncio.create_task(self._work())

    def _load(self) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging as hf_logging

        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        if self.options.threads is not None:
            torch.set_num_threads(self.options.threads)
        device = self.options.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        dtype: Any = torch.float32 if device == "cpu" else "auto"
        if self.options.dtype != "auto":
            dtype = getattr(torch, self.options.dtype)
        self.chat = Chat.of(AutoTokenizer.from_pretrained(self.model), self.model)
        net: Any = AutoModelForCausalLM.from_pretrained(self.model, dtype=dtype)
        self._net = net.to(device).eval()
        self._dtype = str(net.dtype).removeprefix("torch.")

    async def generate(self, model: str, messages: Messages | str, sampling: Sampling) -> list[Generation]:
        """Sample `sampling.n` replies; raises PoolError for an unknown model or a prompt that leaves no room."""
        from superalign.pool.transformers.decode import Row

        if sampling.json_schema is not None:
            raise PoolError(
                "the transformers pool can't constrain a reply to a JSON schema",
                "set the critic's format to auto or tagged, or use vLLM (`pool: {type: vllm}`)",
            )
        self._check(model)
        prompt, max_new_tokens = self.chat.asked(messages, sampling.max_tokens, self.options.max_model_len)
        rows = [
            Row(
                prompt=prompt,
                max_tokens=max_new_tokens,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                min_p=sampling.min_p,
                seed=None if sampling.seed is None else sampling.seed + index,
                stop=sampling.stop,
            )
            for index in range(sampling.n)
        ]
        await self._submit(model, "generate", rows)
        generations = [
            Generation(
                text=self.chat.text(row.tokens) if row.text is None else row.text,
                num_tokens=len(row.tokens),
                logprob=row.logprob,
                finish="stop" if row.finish == "stop" else "length",
                prompt_tokens=len(prompt),
            )
            for row in rows
        ]
        self._gate.count(len(prompt), generations)
        return generations

    async def score(self, model: str, messages: Messages | str, continuation: str, *, end: bool = False) -> Score:
        """Log-probabilities of `continuation` as the next assistant turn (no messages: as plain text)."""
        self._check(model)
        limit = self.options.max_model_len
        parts = self.chat.continuation(messages, continuation, end=end, max_model_len=limit)
        scored = await asyncio.gather(*(self._submit(model, "score", [part]) for part in parts))
        self._gate.count(sum(len(tokens) for tokens, _ in parts))
        values = tuple(value for [(part, _)] in scored for value in part)
        return Score(token_logprobs=values, greedy=all(greedy for [(_, greedy)] in scored))

    async def _submit(self, model: str, kind: str, items: list[Any]) -> Any:
        async with self._gate.request():
            self._check(model)
            job = Job(model, kind, items, asyncio.get_running_loop().create_future())
            self._jobs.put_nowait(job)
            return await job.done

    async def _work(self) -> None:
        """Gather waiting jobs of one model and kind, run them in a thread, forever."""
        waiting: list[Job] = []
        while True:
            if not waiting:
                waiting.append(await self._jobs.get())
            deadline = time.monotonic() + self.options.max_batch_wait_ms / 1000
            while sum(len(job.items) for job in waiting) < self.options.batch_size:
                with suppress(TimeoutError):
                    waiting.append(await asyncio.wait_for(self._jobs.get(), deadline - time.monotonic()))
                    continue
                break
            batch, size = [waiting[0]], len(waiting[0].items)
            for job in waiting[1:]:
                same = (job.model, job.kind) == (batch[0].model, batch[0].kind)
                if same and size + len(job.items) <= self.options.batch_size:
                    batch.append(job)
                    size += len(job.items)
            waiting = [job for job in waiting if job not in batch]
            await self._run(batch)

    async def _run(self, batch: list[Job]) -> None:
        items = [item for job in batch for item in job.items]
        try:
            results = await asyncio.to_thread(self._compute, batch[0].kind, self._served[batch[0].model], items)
        except Exception as error:  # every waiting request must learn of it
            for job in batch:
                if not job.done.done():
                    job.done.set_exception(PoolError(f"the model failed: {error!s:.300}", "a smaller pool.batch_size?"))
            return
        for job in batch:
            part, results = results[: len(job.items)], results[len(job.items) :]
            if not job.done.done():
                job.done.set_result(part)

    def _compute(self, kind: str, adapter: str | None, items: list[Any]) -> list[Any]:
        from superalign.pool.transformers import decode

        net = self._net
        if self._peft is not None:
            net = self._peft
            if adapter is not None:
                net.set_adapter(adapter)
        bare: Callable[[], Any] = net.disable_adapter if self._peft is not None and adapter is None else nullcontext
        pad = self.chat.end_id
        with bare():
            if kind == "score":
                return decode.score(net, items, pad_id=pad)
            ends = frozenset({self.chat.end_id, self.chat.tokenizer.eos_token_id})
            size = self.options.batch_size
            for at in range(0, len(items), size):
                decode.decode(net, items[at : at + size], end_ids=ends, pad_id=pad, text_of=self.chat.text)
        return items

    async def serve(self, checkpoint: Checkpoint) -> str:
        """Load an adapter beside the base under a fresh name; raises PoolError when it changes nothing."""
        adapter = adapter_folder(checkpoint)
        if adapter is None:
            return "base"
        async with self._swap, self._gate.closed():
            started = time.monotonic()
            number = next(self._ids)
            name, label = f"{checkpoint.id}#{number}", f"adapter_{number}"
            try:
                await asyncio.to_thread(self._attach, adapter, label)
            except (OSError, ValueError, RuntimeError, KeyError) as error:
                raise PoolError(f"{adapter} could not be loaded: {error!s:.300}", "is it of this base?") from error
            self.last_swap_s = {"load": time.monotonic() - started}
            await self._prove(adapter, label)
            self._served[name] = label
            for old in surplus(self._served):
                self._peft.delete_adapter(self._served.pop(old))
            self.last_swap_s["canary"] = time.monotonic() - started - self.last_swap_s["load"]
        return name

    def _attach(self, adapter: Path, label: str) -> None:
        from peft import PeftModel

        if self._peft is None:
            self._peft = PeftModel.from_pretrained(self._net, str(adapter), adapter_name=label).eval()
        else:
            self._peft.load_adapter(str(adapter), adapter_name=label)

    async def _prove(self, adapter: Path, label: str) -> None:
        probe = canary.encoded(self.chat, self.options.max_model_len)
        [(before, _)] = await asyncio.to_thread(self._compute, "score", None, [probe])
        [(served, _)] = await asyncio.to_thread(self._compute, "score", label, [probe])
        changed = await asyncio.to_thread(reference_forward.digest, adapter) is not None
        canary.prove(adapter, served, before, None, dtype=self._dtype, changed=changed, hint="keep the old checkpoint")

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Wait for requests in flight and hold new ones; the weights stay where they are."""
        async with self._swap, self._gate.closed():
            yield

    def _check(self, model: str) -> None:
        require_served(model, self._served, is_open=self._worker is not None)

    def stats(self) -> PoolStats:
        """Counts since the start."""
        return self._gate.stats

    async def close(self) -> None:
        """Let go of the model; a second call does nothing."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker
            self._net = self._peft = None
