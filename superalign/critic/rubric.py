"""RubricCritic: an LLM reads the constitution and the exchange and gives a verdict with a quotation."""

from __future__ import annotations

import asyncio
import re

from superalign.critic.llm.ask import Judge, listed
from superalign.critic.llm.fence import conversation_text, fenced
from superalign.critic.llm.parse_verdict import object_schema, read_object
from superalign.critic.options import OnDispute
from superalign.critic.scoring import settled
from superalign.files.templates import PromptTemplate
from superalign.records.exchange import Critique
from superalign.records.rollout import Response

_WINNER = re.compile(r"\W*(?:BETTER\s*:\s*)?(FIRST|SECOND|TIE)\W*", re.IGNORECASE)
_DECISION = object_schema(
    {"decides": {"type": "string", "maxLength": 200}, "better": {"enum": ["FIRST", "SECOND", "TIE"]}}
)
"""JSON schema of a comparison: one sentence on what decides, then the better reply."""


class RubricCritic:
    """Asks a model for a verdict; what it reads is marked as data, and its answer is parsed strictly or dropped."""

    name = "rubric"

    def __init__(self, judge: Judge, prompt: PromptTemplate, on_dispute: OnDispute) -> None:
        self.judge, self.prompt, self.on_dispute = judge, prompt, on_dispute

    async def critique(self, response: Response) -> Critique:
        """Raises DropError after two failed tries, or on a dispute that the recipe says to drop."""
        verdict = await self.judge.verdict(self.name, self.prompt, response, "critic")
        return Critique(response=response, verdict=settled(verdict, response, self.on_dispute))


class ComparingRubric(RubricCritic):
    """A rubric that can also compare two replies."""

    def __init__(
        self, judge: Judge, prompt: PromptTemplate, on_dispute: OnDispute, compare_prompt: PromptTemplate
    ) -> None:
        super().__init__(judge, prompt, on_dispute)
        self.compare_prompt = compare_prompt

    async def compare(self, a: Response, b: Response) -> float:
        """How far `a` is better than `b`: the mean over both orders, so that a preference for a place comes to 0.5."""
        forth, back = await asyncio.gather(self._first_wins(a, b), self._first_wins(b, a))
        return (forth + 1 - back) / 2

    async def _first_wins(self, first: Response, second: Response) -> float:
        asker, address = self.judge.asker, (first.attack.id, "compare", first.index, second.index)
        texts = fenced(
            asker.run_seed, conversation=conversation_text(first.attack.messages),
            first=first.generation.text, second=second.generation.text,
        )  # fmt: skip
        constitution = self.judge.constitution.applying_to(first.attack.seed)
        messages = self.compare_prompt.messages(constitution=listed(constitution), **texts)
        if asker.structured:
            return await asker.ask(messages, _decided, *address, schema=_DECISION)
        return await asker.ask(messages, _winner, *address)


def _decided(text: str) -> float:
    """As `_winner`, from JSON of `_DECISION`."""
    return _winner(str(read_object(text, ("decides", "better")).get("better")))


def _winner(text: str) -> float:
    """The answer's last line as a number: 1 the first wins, 0 the second, 0.5 neither."""
    winner = _WINNER.fullmatch(text.strip().split("\n")[-1])
    if winner is None:
        raise ValueError(f"{text.strip()[-40:]!r} ends with none of FIRST, SECOND, TIE")
    return {"first": 1.0, "second": 0.0, "tie": 0.5}[winner[1].lower()]
