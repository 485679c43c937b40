"""A few attacks outside of a run; rehearsed, where no model speaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from superalign.attacker.attacker import SearchingAttacker
from superalign.attacker.evolve import Breeder
from superalign.attacker.history import Memory, State
from superalign.attacker.options import AttackerOptions
from superalign.attacker.strategies.protocol import Strategy, Writer
from superalign.loop.rollout import Roles, play
from superalign.protocols import Attacker, DropError
from superalign.records.exchange import Critique, Dropped, Exchange, Revision
from superalign.records.rollout import Attack, Draft, Generation, Messages, Response, Rollout

UNWRITTEN = "(what the attacker's model writes)"
UNSAID = "(what the model replies)"
Played = list[Exchange | Dropped]
"""One rollout."""


class _Rehearsal:
    """Writer, learner and critic of a rollout in which no model speaks."""

    async def write(
        self, id: str, prompt: Messages, goal: str, *, max_tokens: int, temperature: float, min_overlap: float
    ) -> Draft:
        return Draft(prompt=prompt, text=UNWRITTEN)

    async def respond(self, attack: Attack, n: int) -> list[Response]:
        return [Response(attack=attack, index=0, generation=Generation(text=UNSAID, num_tokens=0))]

    async def revise(self, critique: Critique) -> Revision:
        raise DropError("nothing is revised in a rehearsal")

    async def critique(self, response: Response) -> Critique:
        raise DropError("nobody judges a rehearsal")


async def rehearse(rollouts: Sequence[Rollout], strategies: Mapping[str, Strategy]) -> list[Played]:
    """The attacks as they would be sent, with a word in brackets for what a model would write or reply."""
    nobody = _Rehearsal()
    roles = Roles(attacker_of(strategies, nobody), nobody, nobody, num_answers=1, revise_below=0.0)
    return [[found for found in await played(roles, rollout) if _of_interest(found)] for rollout in rollouts]


def attacker_of(strategies: Mapping[str, Strategy], writer: Writer) -> Attacker:
    """Who plays each rollout with the strategy that its seed names."""
    options = AttackerOptions()
    memory = Memory(State(), options.generation)
    return SearchingAttacker(strategies, options, writer, memory, Breeder({}), run_seed=0)


async def played(roles: Roles, rollout: Rollout) -> Played:
    """A whole rollout."""
    return [found async for found in play(roles, rollout, (), ended=False)]


def _of_interest(found: Exchange | Dropped) -> bool:
    """In a rehearsal nothing is judged, which is no loss; a turn that prepares another stands in that one."""
    return found.stage == "attack" if isinstance(found, Dropped) else not found.attack.setup
