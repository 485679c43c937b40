"""One question to a model, its answer read strictly, and one more try: what all critics that ask have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from superalign.critic.checks.options import Combine
from superalign.critic.constitution import Constitution
from superalign.critic.llm.fence import conversation_text, fence
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


@dataclass(frozen=True)
class Judge:
    """Asks for verdicts in one form."""

    asker: Asker
    form: PromptTemplate
    """What every prompt ends with: how the verdict is to be written."""
    constitution: Constitution
    combine: Combine | None

    async def verdict(
        self, critic: str, template: PromptTemplate, response: Response, step: str, **more: str
    ) -> Verdict:
        """A verdict of the response; raises DropError when two tries gave none.

        critic: whose name it bears; step: which of its requests this is; more: further slots, fenced like the texts.
        """
        constitution = self.constitution.applying_to(response.attack.seed)
        said, reply = conversation_text(response.attack.messages), response.generation.text
        mark = fence(self.asker.run_seed, said, reply, *more.values())
        structured, vector = self.asker.structured, self.combine is not None
        read = read_json if structured else read_tagged
        messages = template.messages(
            constitution=listed(constitution),
            conversation=mark.around(said),
            reply=mark.around(reply),
            mark=mark.mark,
            form=self.form.render(json=structured, vector=vector),
            **{slot: mark.around(text) for slot, text in more.items()},
        )
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
    """The principles as prompts read them."""
    return [
        {
            "id": principle.id,
            "text": principle.text,
            "examples": " / ".join(principle.examples),
            "counter_examples": " / ".join(principle.counter_examples),
        }
        for principle in constitution.principles
    ]
