"""DebateCritic: one side speaks for the reply, the other against it; a judge who may be weaker decides.

After Irving et al. 2018 (arXiv 1805.00899); quotations that the judge can rely on as in Khan et al. 2024
(arXiv 2402.06782): an argument that quotes what was not said is asked for again.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Literal

from superalign.critic.llm.ask import Asker, Judge, listed
from superalign.critic.llm.fence import conversation_text, fence, occurs
from superalign.critic.llm.parse_verdict import object_schema, quotations, read_object
from superalign.critic.options import DebateOptions
from superalign.critic.scoring import settled
from superalign.files.templates import PromptTemplate
from superalign.records.exchange import Critique
from superalign.records.rollout import Response
from superalign.seeding import derive_seed

Side = Literal["defence", "prosecution"]
_QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”")
_QUOTATION_MARKS = re.compile('["“”„«»]')
_WORDS = 3
"""Shorter quotations may be words that are merely talked about."""


class DebateCritic:
    """Argues with one model, decides with another."""

    name = "debate"

    def __init__(
        self, arguer: Asker, argue_prompt: PromptTemplate, judge: Judge, judge_prompt: PromptTemplate,
        options: DebateOptions,
    ) -> None:  # fmt: skip
        self.arguer, self.argue_prompt = arguer, argue_prompt
        self.judge, self.judge_prompt, self.options = judge, judge_prompt, options

    async def critique(self, response: Response) -> Critique:
        """Raises DropError when a side could not quote, the judge gave no verdict, or on a dispute to drop."""
        sides: list[Side] = ["defence", "prosecution"]
        if derive_seed(self.arguer.run_seed, "debate order", response.attack.id, response.index) % 2:
            sides.reverse()  # whoever speaks last has an advantage, so that nobody always does
        transcript = ""
        for number in range(self.options.rounds):
            spoken = await asyncio.gather(*(self._argue(side, number, transcript, response) for side in sides))
            lines = (f"{side.upper()}: {text}" for side, text in zip(sides, spoken, strict=True))
            transcript = "\n\n".join([*([transcript] if transcript else []), *lines])
        verdict = await self.judge.verdict(
            self.name, self.judge_prompt, response, "debate judge", transcript=transcript
        )
        return Critique(response=response, verdict=settled(verdict, response, self.options.on_dispute))

    async def _argue(self, side: Side, number: int, transcript: str, response: Response) -> str:
        said, reply = conversation_text(response.attack.messages), response.generation.text
        mark, structured = fence(self.arguer.run_seed, said, reply, transcript), self.arguer.structured
        messages = self.argue_prompt.messages(
            constitution=listed(self.judge.constitution.applying_to(response.attack.seed)),
            conversation=mark.around(said),
            reply=mark.around(reply),
            mark=mark.mark,
            side=side,
            transcript=mark.around(transcript) if transcript else "",
            json=structured,
        )
        return await self.arguer.ask(
            messages, lambda text: spoken(text, reply) if structured else argument(text, said, reply),
            response.attack.id, "debate", response.index, number, side,
            schema=_schema(reply, self.arguer.max_tokens) if structured else None,
        )  # fmt: skip


def _schema(reply: str, max_tokens: int) -> dict[str, Any]:
    """A quotation of the reply, then what is made of it."""
    return object_schema(
        {"quote": {"enum": quotations(reply)}, "argument": {"type": "string", "maxLength": 2 * max_tokens}}
    )


def spoken(text: str, reply: str) -> str:
    """The argument in JSON as `_schema` has it, the quotation first; what stands in quotation marks after it is none.

    Raises ValueError for another form, a quotation that is not in the reply, or no argument.
    """
    data = read_object(text, ("quote", "argument"))
    quote, made_of_it = (" ".join(str(data.get(key, "")).split()) for key in ("quote", "argument"))
    if not made_of_it:
        raise ValueError("the argument is empty")
    if any(char.isalnum() for char in reply) and not occurs(quote, reply):
        raise ValueError(f"the argument quotes {quote!r:.60}, which is not in the reply")
    return (f'"{quote}" ' if quote else "") + _QUOTATION_MARKS.sub("'", made_of_it)


def argument(text: str, said: str, reply: str) -> str:
    """The argument on one line; raises ValueError for one that quotes nothing of the reply, or what was not said."""
    text = " ".join(text.split())
    if not text:
        raise ValueError("the argument is empty")
    quotes = ["".join(found) for found in _QUOTED.findall(text)]
    if invented := [q for q in quotes if len(q.split()) >= _WORDS and not (occurs(q, reply) or occurs(q, said))]:
        raise ValueError(f"the argument quotes {invented[0]!r:.60}, which nobody said")
    if any(char.isalnum() for char in reply) and not any(occurs(q, reply) for q in quotes):
        raise ValueError("the argument quotes nothing of the reply")
    return text
