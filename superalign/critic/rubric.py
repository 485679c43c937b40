"""RubricCritic: an LLM reads the constitution and the exchange and gives a verdict with a quotation."""

from __future__ import annotations

import asyncio
import re

from superalign.critic.llm.ask import Judge, listed
from superalign.critic.llm.fence import conversation_text, fence
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
"""One sentence on what decides, then the better one; for engines that hold a model to a form."""


class RubricCritic:
    """Judges through the pool; what it reads is marked as data, what it writes is parsed strictly or dropped."""

    name = "rubric"

    def __init__(self, judge: Judge, prompt: PromptTemplate, on_dispute: OnDispute) -> None:
        self.judge, self.prompt, self.on_dispute = judge, prompt, on_dispute

    async def critique(self, response: Response) -> Critique:
        """Raises DropError when two tries gave no verdict, or on a dispute that the recipe says to drop."""
        verdict = await self.judge.verdict(self.name, self.prompt, response, "critic")
        return Critique(response=response, verdict=settled(verdict, response, self.on_dispute))


class ComparingRubric(RubricCritic):
    """A rubric that also holds two replies against each other."""

    def __init__(
        self, judge: Judge, prompt: PromptTemplate, on_dispute: OnDispute, compare_prompt: PromptTemplate
    ) -> None:
        super().__init__(judge, prompt, on_dispute)
        self.compare_prompt = compare_prompt

    async def compare(self, a: Response, b: Response) -> float:
        """How far `a` is better than `b`: the mean over both orders, so that a liking for a place comes to 0.5."""
        forth, back = await asyncio.gather(self._first_wins(a, b), self._first_wins(b, a))
        return (forth + 1 - back) / 2

    async def _first_wins(self, first: Response, second: Response) -> float:
        said = conversation_text(first.attack.messages)
        texts = (first.generation.text, second.generation.text)
        mark = fence(self.judge.asker.run_seed, said, *texts)
        messages = self.compare_prompt.messages(
            constitution=listed(self.judge.constitution.applying_to(first.attack.seed)),
            conversation=mark.around(said),
            first=mark.around(texts[0]),
            second=mark.around(texts[1]),
            mark=mark.mark,
        )
        asker, address = self.judge.asker, (first.attack.id, "compare", first.index, second.index)
        if asker.structured:
            return await asker.ask(messages, _decided, *address, schema=_DECISION)
        return await asker.ask(messages, _winner, *address)


def _decided(text: str) -> float:
    """As `_winner`, of JSON as `_DECISION` has it."""
    return _winner(str(read_object(text, ("decides", "better")).get("better")))


def _winner(text: str) -> float:
    """1: the first, 0: the second, 0.5: neither; on the answer's last line."""
    found = _WINNER.fullmatch(text.strip().split("\n")[-1])
    if found is None:
        raise ValueError(f"{text.strip()[-40:]!r} ends with none of FIRST, SECOND, TIE")
    return {"first": 1.0, "second": 0.0, "tie": 0.5}[found[1].lower()]
