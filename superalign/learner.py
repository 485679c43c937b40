"""The learner as the pool serves it: answers to an attack, and a second try that has read the critique."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from superalign.files.find import prompt_path
from superalign.files.templates import PromptTemplate, load_prompt
from superalign.protocols import DropError, InferencePool, Sampling
from superalign.records.base import FrozenModel, Rate, Temperature
from superalign.records.exchange import Critique, Revision
from superalign.records.rollout import Attack, Message, Messages, Response
from superalign.seeding import derive_seed

REVISE_SLOTS = ("critique", "harmful")


class LearnerOptions(FrozenModel):
    """How the learner is asked."""

    num_answers: int = Field(default=2, ge=1)
    """Answers sampled for each attack."""
    revise_below: Rate = 0.0
    """The worst answer is revised by its critique when its score is below this; 0: never. Worth it from about 7B
    parameters on."""
    temperature: Temperature = 0.9
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=160, gt=0)
    """Length limit of an answer and of a revision; longer ones are cut, and trained on without an end token."""
    revise_temperature: Temperature = 0.7
    revise_prompt: str = "learner/revise.md"
    """Relative to the recipe, then to what superalign ships."""
    system: str | None = None
    """A system message before every conversation that has none."""


def load_revise_prompt(options: LearnerOptions, base_dir: Path) -> PromptTemplate:
    """The prompt file that asks for a revision; raises PromptFileError."""
    return load_prompt(prompt_path(options.revise_prompt, base_dir), REVISE_SLOTS)


class PoolLearner:
    """The learner of one round: `model` is the name under which the pool serves its checkpoint."""

    def __init__(
        self, pool: InferencePool, model: str, options: LearnerOptions, revise_prompt: PromptTemplate, *, run_seed: int
    ) -> None:
        self.pool, self.model, self.options, self.run_seed = pool, model, options, run_seed
        self.revise_prompt = revise_prompt

    async def respond(self, attack: Attack, n: int) -> list[Response]:
        """n sampled answers in one request, so that the engine reads the prompt once."""
        generations = await self.pool.generate(
            self.model, self.conversation(attack), self._sampling(self.options.temperature, n, attack.id, "learner")
        )
        return [Response(attack=attack, index=index, generation=g) for index, g in enumerate(generations)]

    async def revise(self, critique: Critique) -> Revision:
        """The learner reads what the critic said and answers again; raises DropError when it says nothing."""
        response, verdict = critique.response, critique.verdict
        critique_text = verdict.rationale or f"The answer scored {verdict.score}."
        harmful = (
            response.attack.seed.intent == "harmful"
            if verdict.request_harmful is None
            else verdict.request_harmful >= 0.5
        )
        messages: Sequence[Message] = (
            *self.conversation(response.attack),
            Message(role="assistant", content=response.generation.text),
            *self.revise_prompt.messages(critique=critique_text, harmful=harmful),
        )
        sampling = self._sampling(self.options.revise_temperature, 1, response.attack.id, "reviser", response.index)
        [generation] = await self.pool.generate(self.model, tuple(messages), sampling)
        if not generation.text.strip():
            raise DropError("the revision is empty")
        return Revision(critique=critique, generation=generation)

    def conversation(self, attack: Attack) -> Messages:
        """The attack's turns, the learner's system message in front."""
        if self.options.system is None or attack.messages[0].role == "system":
            return attack.messages
        return (Message(role="system", content=self.options.system), *attack.messages)

    def _sampling(self, temperature: float, n: int, *address: str | int) -> Sampling:
        return Sampling(
            n=n,
            temperature=temperature,
            top_p=self.options.top_p if temperature else 1.0,
            max_tokens=self.options.max_tokens,
            seed=derive_seed(self.run_seed, *address),
        )
