"""Attacks that are written again by an LLM which has read the reply and the critique.

After PAIR (arXiv 2310.08419) and TAP (arXiv 2312.02119): a tree of attempts, of which only the best few are gone on
from, and none that leaves the topic (the writer sees to that) or says the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from superalign.attacker.strategies.one_turn import Prompted, user_turn
from superalign.attacker.strategies.protocol import Step, Writer
from superalign.attacker.strategies.writer import draft
from superalign.files.template_sandbox import sentence
from superalign.protocols import DropError
from superalign.records.exchange import Answer, Exchange
from superalign.records.rollout import Rollout

SLOTS = ("goal", "harmful", "attempt", "reply", "critique", "score")
SHOWN_CHARS = 600
"""More of a reply is not shown to the attacker's model."""


@dataclass(frozen=True)
class Refine(Prompted):
    """Writes the attack anew from the best attempts, until one succeeds or `attempts` are used up."""

    async def step(
        self, rollout: Rollout, history: Sequence[Exchange], writer: Writer, first: str | None = None
    ) -> Step | None:
        """The plain goal (or `first`), then one refined attempt after the other; raises DropError."""
        if not history:
            return Step(user_turn(sentence(rollout.seed.goal) if first is None else first))
        if len(history) >= self.meta.attempts or history[-1].success:
            return None
        id, reasons = rollout.attack_id(len(history)), []
        earlier = {_words(exchange.attack.messages[-1].content) for exchange in history}
        for number, parent in enumerate(self._frontier(history)):
            answer = _worst(parent)
            prompt = self.template.messages(
                goal=rollout.seed.goal,
                harmful=rollout.seed.intent == "harmful",
                attempt=parent.attack.messages[-1].content,
                reply=shown(answer.generation.text),
                critique=answer.verdict.rationale if answer.verdict else "",
                score=str(round(10 * _objective(parent))),
            )
            try:
                written = await draft(
                    writer, f"{id}~{number}", self.name, self.meta, prompt, rollout.seed.goal, self.meta.min_overlap
                )
            except DropError as error:
                reasons.append(str(error))
                continue
            if _words(written.text) not in earlier:
                return Step(user_turn(written.text), written, parent=parent.attack.id)
            reasons.append(f"{self.name}: the attack was had before")
        raise DropError("; ".join(dict.fromkeys(reasons)))

    def _frontier(self, history: Sequence[Exchange]) -> list[Exchange]:
        """The best attempts, those first that least grew out of."""
        best = sorted(history, key=_objective, reverse=True)[: self.meta.width]
        children = Counter(exchange.attack.parent for exchange in history)
        return sorted(best, key=lambda exchange: children[exchange.attack.id])


def shown(reply: str) -> str:
    """As much of a reply as the attacker's model is shown."""
    return reply if len(reply) <= SHOWN_CHARS else reply[:SHOWN_CHARS] + " ..."


def _objective(exchange: Exchange) -> float:
    """How far the learner erred, 0 to 1; 0 where nobody could say."""
    return 0.0 if exchange.worst is None else 1.0 - exchange.worst


def _worst(exchange: Exchange) -> Answer:
    scored = [a for a in exchange.answers if a.verdict is not None and a.verdict.score == exchange.worst]
    return scored[0] if scored and exchange.worst is not None else exchange.answers[0]


def _words(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(".!?")
