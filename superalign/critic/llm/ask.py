"""One question to a model, its answer read strictly, and one more try: what all critics that ask have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from superalign.errors import PromptTooLongError
from superalign.protocols import DropError, InferencePool, Sampling
from superalign.records.rollout import Messages
from superalign.seeding import derive_seed

T = TypeVar("T")
_TRIES = 2
_RETRY_TEMPERATURE = 0.3  # a greedy second try would repeat the first


@dataclass(frozen=True)
class Asker:
    """A model, and how it is asked."""

    pool: InferencePool
    model: str
    """The name under which the pool serves it."""
    run_seed: int
    max_tokens: int
    temperature: float = 0.0
    structured: bool = False
    """Whether verdicts are asked for as JSON of a schema."""

    async def ask(
        self, messages: Messages, read: Callable[[str], T], *address: str | int, schema: dict[str, Any] | None = None
    ) -> T:
        """What `read` makes of the answer; it raises ValueError for one that can't be read.

        address: what the seed of the request derives from. Raises DropError when two tries gave no answer, or the
        exchange is too long to be asked about.
        """
        reason = ""
        for attempt in range(_TRIES):
            temperature = self.temperature if attempt == 0 else max(self.temperature, _RETRY_TEMPERATURE)
            seed = derive_seed(self.run_seed, *address, attempt)
            sampling = Sampling(temperature=temperature, max_tokens=self.max_tokens, seed=seed, json_schema=schema)
            try:
                [written] = await self.pool.generate(self.model, messages, sampling)
            except PromptTooLongError as error:
                raise DropError(str(error)) from error
            try:
                return read(written.text)
            except ValueError as error:
                reason = str(error)
        raise DropError(f"no answer in two tries: {reason}")
