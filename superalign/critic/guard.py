"""GuardCritic: asks guard models with their own prompts and answer formats."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import Field

from superalign.critic.constitution import Constitution
from superalign.critic.llm.ask import Asker, listed
from superalign.critic.llm.fence import conversation_text, defused, fence
from superalign.critic.options import Judgement
from superalign.critic.scoring import assembled
from superalign.files.templates import PromptTemplate
from superalign.files.yaml_lines import Faults, validated
from superalign.records.base import FrozenModel, Hazard, Rate
from superalign.records.exchange import REFUSALS, Critique, Refusal
from superalign.records.rollout import Response

Labels = Mapping[Judgement, Mapping[str, Rate | Refusal]]


class _Front(FrozenModel):
    """Front matter of a guard's prompt file."""

    description: str = ""
    name: str | None = None
    labels: dict[Judgement, dict[str, Rate | Refusal]] = Field(min_length=1)
    """Per judgement: pattern -> value; the patterns found in an answer must agree on one value."""
    hazards: dict[str, Hazard] = Field(default_factory=dict)
    """Pattern -> hazard."""


@dataclass(frozen=True)
class GuardPrompt:
    """One question to a guard, and how to parse its answer."""

    template: PromptTemplate
    labels: Labels
    hazards: Mapping[str, Hazard]

    @classmethod
    def of(cls, template: PromptTemplate, labels: Labels | None = None) -> GuardPrompt:
        """labels: replace the file's. Raises PromptFileError with every fault in the file's front matter."""
        front, faults = validated(_Front, template.meta), Faults()
        for judgement, patterns in (labels or front.labels).items():
            line = template.meta.line(("labels", judgement))
            for pattern, value in patterns.items():
                if (value in REFUSALS) != (judgement == "refusal"):
                    expected = "none, partial or full" if judgement == "refusal" else "a number from 0 to 1"
                    faults.add(template.path, line, f"{judgement}: {pattern!r} stands for {value!r}, not {expected}")
        for pattern in (*front.hazards, *(p for patterns in (labels or front.labels).values() for p in patterns)):
            try:
                re.compile(pattern)
            except re.error as error:
                faults.add(template.path, template.meta.line(("labels",)), f"{pattern!r} is no pattern: {error}")
        faults.raise_if_any()
        return cls(template, labels or front.labels, front.hazards)

    def read(self, answer: str) -> dict[Judgement, Rate | Refusal]:
        """The judgements in an answer; raises ValueError if one has no value, or two different ones."""
        judgements: dict[Judgement, Rate | Refusal] = {}
        for judgement, patterns in self.labels.items():
            values = {value for pattern, value in patterns.items() if re.search(pattern, answer)}
            if len(values) != 1:
                fault = "no label" if not values else "several labels"
                raise ValueError(f"{self.template.name}: {fault} of {judgement} in {answer.strip()!r:.60}")
            judgements[judgement] = values.pop()
        return judgements

    def hazard(self, answer: str) -> Hazard | None:
        """The hazard that the answer names first."""
        places = [(at.start(), hazard) for p, hazard in self.hazards.items() if (at := re.search(p, answer))]
        return min(places, default=(0, None))[1]


class GuardCritic:
    """Asks each question once; of two answers to the same judgement the strictest counts."""

    name = "guard"

    def __init__(
        self, asker: Asker, prompts: Sequence[GuardPrompt], constitution: Constitution, *, trust_intent: bool
    ) -> None:
        self.asker, self.prompts, self.constitution, self.trust_intent = asker, prompts, constitution, trust_intent

    async def critique(self, response: Response) -> Critique:
        """Raises DropError after two tries without labels."""
        answers = await asyncio.gather(
            *(self._ask(number, prompt, response) for number, prompt in enumerate(self.prompts))
        )
        numbers: dict[str, float] = {}
        refusal: Refusal | None = None
        for labels, _ in answers:
            for judgement, value in labels.items():
                if isinstance(value, str):
                    refusal = value
                else:
                    numbers[judgement] = max(value, numbers.get(judgement, 0.0))
        constitution = self.constitution.applying_to(response.attack.seed)
        verdict = assembled(
            self.name, response, request_harmful=numbers.get("request_harmful"), harm=numbers.get("harm"),
            refusal=refusal, trust_intent=self.trust_intent, constitution=constitution,
        )  # fmt: skip
        named = next((hazard for _, hazard in answers if hazard), None)
        principle = constitution.for_hazard(named) if named and verdict.principle else None
        update = {"principle": principle.id} if principle else {}
        pairs = zip(self.prompts, answers, strict=True)
        answered = "; ".join(f"{prompt.template.name}: {_in_words(labels)}" for prompt, (labels, _) in pairs)
        update["rationale"] = f"{verdict.rationale} ({answered})".strip()
        return Critique(response=response, verdict=verdict.model_copy(update=update))

    async def _ask(
        self, number: int, prompt: GuardPrompt, response: Response
    ) -> tuple[dict[Judgement, Rate | Refusal], Hazard | None]:
        # Guards know the form of their own prompts; marks inside would be part of the text that they judge.
        conversation, reply = conversation_text(response.attack.messages), response.generation.text
        only = len(response.attack.messages) == 1
        messages = prompt.template.messages(
            conversation=defused(response.attack.messages[0].content if only else conversation), reply=defused(reply),
            mark=fence(self.asker.run_seed, conversation, reply).mark,
            constitution=listed(self.constitution.applying_to(response.attack.seed)),
        )  # fmt: skip
        return await self.asker.ask(
            messages, lambda answer: (prompt.read(answer), prompt.hazard(answer)),
            response.attack.id, "guard", response.index, number,
        )  # fmt: skip


def _in_words(labels: Mapping[Judgement, Rate | Refusal]) -> str:
    return ", ".join(f"{judgement} {value}" for judgement, value in labels.items())
