"""One AsyncLLM and its processes: start, ask, score, end; every failure becomes a PoolError that names the log."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from superalign.errors import PoolError, SuperalignError
from superalign.pool.chat_template import Chat
from superalign.pool.options import VllmOptions
from superalign.pool.vllm import process

T = TypeVar("T")


class VllmClient:
    """The engine without any notion of checkpoints."""

    def __init__(self, model: str, options: VllmOptions, log: Path, *, lora: bool) -> None:
        self.model, self.options, self.log, self.lora = model, options, log.resolve(), lora
        self.chat: Chat
        self.dtype = "float32"
        self.gpu = False
        self.llm: Any = None
        self.pids: dict[int, float] = {}
        """The engine's processes with their start times."""
        self._ids = itertools.count(1)

    def start(self) -> None:
        """Start the processes (20 to 40 s, in the event loop's thread: vLLM ties its sockets to it)."""
        process.check_platform()
        before = process.children()
        with process.quiet_start(process.environment(self.options, self.model), self.log):
            try:
                self.llm = self._build()
                self.chat = Chat.of(self.llm.get_tokenizer(), self.model)
            except BaseException as error:
                self.llm = None
                process.end_processes({pid: t for pid, t in process.children().items() if pid not in before})
                if isinstance(error, SuperalignError) or not isinstance(error, Exception):
                    raise
                hint = f"its whole log is {self.log}"
                if isinstance(error, OSError) and not Path(self.model).is_dir():  # that is how a hub id is not found
                    names = "`superalign models list` tells the known names; else it is a folder or a hub id"
                    raise PoolError(
                        f"model {self.model} can't be loaded: {_first(error)}", f"{names}; {hint}"
                    ) from error
                reason = process.last_error(self.log, _first(error))
                raise PoolError(f"vLLM did not start: {reason}", hint) from error
        self.pids = {pid: t for pid, t in process.children().items() if pid not in before}

    def _build(self) -> Any:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        self.gpu = process.has_gpu()
        args = AsyncEngineArgs(**process.engine_args(self.model, self.options, lora=self.lora, gpu=self.gpu))
        llm = AsyncLLM.from_engine_args(args)
        self.dtype = str(llm.model_config.dtype).removeprefix("torch.")
        return llm

    async def ask(self, prompt: Sequence[int], params: Any, lora: Any) -> Any:
        """The finished output of one request."""
        if self.llm is None:
            raise PoolError("the pool is closed", "start a new one")
        number = f"request-{next(self._ids)}"
        try:
            stream = self.llm.generate({"prompt_token_ids": list(prompt)}, params, number, lora_request=lora)
            return [final async for final in stream][-1]
        except (ValueError, TypeError) as error:
            raise PoolError(f"vLLM refused a request: {error}", "check the pool's options and the sampling") from error
        except Exception as error:
            raise process.died(self.log, "it was asked") from error

    async def score(self, tokens: Sequence[int], start: int, lora: Any) -> list[float]:
        """Log-probabilities of tokens[start:], nats; always computed anew, never from the prefix cache."""
        return (await self.ranked(tokens, start, lora))[0]

    async def ranked(self, tokens: Sequence[int], start: int, lora: Any) -> tuple[list[float], bool]:
        """The same, and whether every one of these tokens is the likeliest."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        final = RequestOutputKind.FINAL_ONLY
        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False, output_kind=final)
        output = await self.ask(tokens, params, lora)
        scored = [output.prompt_logprobs[i][tokens[i]] for i in range(start, len(tokens))]
        return [float(token.logprob) for token in scored], all(token.rank == 1 for token in scored)

    async def call(self, doing: str, awaitable: Awaitable[T]) -> T:
        """Await a call to the engine; its failure says what it was doing."""
        try:
            return await awaitable
        except Exception as error:
            if self.llm is not None and not self.llm.errored:
                raise PoolError(f"vLLM failed while {doing}: {error!s:.300}", f"its whole log is {self.log}") from error
            raise process.died(self.log, doing) from error

    def close(self) -> None:
        """End the engine's processes; a second call does nothing."""
        llm, self.llm = self.llm, None
        if llm is not None:
            llm.shutdown(timeout=2.0)
            # Its destructor shuts down again, at interpreter exit with half of its modules gone.
            llm.shutdown = lambda timeout=None: None
            process.end_processes(self.pids)


def _first(error: Exception) -> str:
    """The first two lines; the second line of a pydantic error says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300].rstrip(".") or type(error).__name__
