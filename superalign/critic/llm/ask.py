"""Asks a model, parses its answer strictly, and tries once more; shared by all critics that ask a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from superalign.critic.checks.options import Combine
from superalign.critic.constitution import Constitution
from superalign.critic.llm.fence import conversation_text, fenced
from superalign.critic.llm.parse_verdict import read_json, read_tagged, schema_of
from superalign.errors import PromptTooLongError
from superalign.files.templates import PromptTemplate
from superalign.protocols import DropError, InferencePool, Sampling
from superalign.records.exchange import Verdict
from superalign.records.rollout import Messages, Response
from superalign.seeding import derive_seed

T = TypeVar("T")
_TRIES = 2
_RETRY_TEMPERATURE = 0.3  # a greedy second try would repeat the first


@dataclass(frozen=True)
class Asker:
    """A model and how to sample its answers."""

    pool: InferencePool
    model: str
    """Its name in the pool."""
    run_seed: int
    max_tokens: int
    temperature: float = 0.0
    structured: bool = False
    """Whether the model answers in JSON that the engine holds to a schema."""

    async def ask(
        self, messages: Messages, read: Callable[[str], T], *address: str | int, schema: dict[str, Any] | None = None
    ) -> T:
        """The answer as `read` parses it; `read` raises ValueError if it can't.

        address: the request's seed derives from it. Raises DropError after two failed tries, or if the exchange is
        too long for the model.
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


@dataclass(frozen=True)
class Judge:
    """Asks for verdicts in one form; shared by rubric, debate and second look."""

    asker: Asker
    form: PromptTemplate
    """The end of every prompt: how to write the verdict."""
    constitution: Constitution
    combine: Combine | None

    async def verdict(
        self, critic: str, template: PromptTemplate, response: Response, step: str, **more: str
    ) -> Verdict:
        """A verdict on the response; raises DropError after two failed tries.

        critic: the name in the verdict; step: which of the critic's requests this is; more: further texts to fence.
        """
        constitution, reply = self.constitution.applying_to(response.attack.seed), response.generation.text
        texts = fenced(
            self.asker.run_seed, conversation=conversation_text(response.attack.messages), reply=reply, **more
        )
        structured, vector = self.asker.structured, self.combine is not None
        read = read_json if structured else read_tagged
        form = self.form.render(json=structured, vector=vector)
        messages = template.messages(constitution=listed(constitution), form=form, **texts)
        schema = None
        if structured:
            schema = schema_of(constitution, reply, vector=vector, max_tokens=self.asker.max_tokens)
        return await self.asker.ask(
            messages,
            lambda text: read(text, reply, constitution, critic, self.combine),
            response.attack.id, step, response.index,
            schema=schema,
        )  # fmt: skip


def listed(constitution: Constitution) -> list[dict[str, str]]:
    """The principles as prompts take them."""
    return [
        {
            "id": principle.id,
            "text": principle.text,
            "examples": " / ".join(principle.examples),
            "counter_examples": " / ".join(principle.counter_examples),
        }
        for principle in constitution.principles
    ]
