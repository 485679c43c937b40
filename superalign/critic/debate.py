"""DebateCritic: one side argues for the reply, the other against it; a judge, maybe a weaker model, decides.

After Irving et al. 2018 (arXiv 1805.00899), with verified quotations as in Khan et al. 2024 (arXiv 2402.06782): a side
that quotes what nobody said is asked again.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Literal

from superalign.critic.llm.ask import Asker, Judge, listed
from superalign.critic.llm.fence import conversation_text, fenced, occurs
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
"""Fewest words of a quotation that is verified; a shorter one may only mention a word."""


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
        """Raises DropError if a side or the judge gives no valid answer, or `on_dispute` drops where critic and seed
        disagree.
        """
        sides: list[Side] = ["defence", "prosecution"]
        if derive_seed(self.arguer.run_seed, "debate order", response.attack.id, response.index) % 2:
            sides.reverse()  # the last speaker has an advantage, so the order varies
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
        conversation, reply = conversation_text(response.attack.messages), response.generation.text
        structured = self.arguer.structured
        texts = fenced(self.arguer.run_seed, conversation=conversation, reply=reply, transcript=transcript)
        texts |= {} if transcript else {"transcript": ""}
        constitution = listed(self.judge.constitution.applying_to(response.attack.seed))
        messages = self.argue_prompt.messages(constitution=constitution, side=side, json=structured, **texts)
        return await self.arguer.ask(
            messages, lambda text: spoken(text, reply) if structured else argument(text, conversation, reply),
            response.attack.id, "debate", response.index, number, side,
            schema=_schema(reply, self.arguer.max_tokens) if structured else None,
        )  # fmt: skip


def _schema(reply: str, max_tokens: int) -> dict[str, Any]:
    """JSON schema of an argument: a quotation from the reply, then what follows from it."""
    return object_schema(
        {"quote": {"enum": quotations(reply)}, "argument": {"type": "string", "maxLength": 2 * max_tokens}}
    )


def spoken(text: str, reply: str) -> str:
    """Parses JSON of `_schema`: the quotation, then the argument, whose own quotation marks become apostrophes.

    Raises ValueError for another form, a quotation that is not in the reply, or an empty argument.
    """
    data = read_object(text, ("quote", "argument"))
    quote, conclusion = (" ".join(str(data.get(key, "")).split()) for key in ("quote", "argument"))
    if not conclusion:
        raise ValueError("the argument is empty")
    if any(char.isalnum() for char in reply) and not occurs(quote, reply):
        raise ValueError(f"the argument quotes {quote!r:.60}, which is not in the reply")
    return (f'"{quote}" ' if quote else "") + _QUOTATION_MARKS.sub("'", conclusion)


def argument(text: str, conversation: str, reply: str) -> str:
    """The argument on one line; raises ValueError if it quotes nothing from the reply, or what nobody said."""
    text = " ".join(text.split())
    if not text:
        raise ValueError("the argument is empty")
    quotes = ["".join(groups) for groups in _QUOTED.findall(text)]
    if invented := [
        q for q in quotes if len(q.split()) >= _WORDS and not (occurs(q, reply) or occurs(q, conversation))
    ]:
        raise ValueError(f"the argument quotes {invented[0]!r:.60}, which nobody said")
    if any(char.isalnum() for char in reply) and not any(occurs(q, reply) for q in quotes):
        raise ValueError("the argument quotes nothing of the reply")
    return text
