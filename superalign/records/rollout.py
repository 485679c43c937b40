"""Records of the loop: Seed -> Attack -> Response -> Critique -> Revision, a whole rollout being one Exchange.

In memory each record holds the one before it (`critique.response.attack.seed.id`); on disk an Exchange stores the
attack once, with all its answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from superalign.records.base import Hazard, Intent, Kind, Record


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Messages = tuple[Message, ...]


def user_text(messages: Sequence[Message]) -> str:
    """All user turns of a conversation, a line each."""
    return "\n".join(message.content for message in messages if message.role == "user")


class Seed(Record):
    """What an attack is about, written by a person."""

    id: str
    """Unique within a run."""
    goal: str
    """A verb phrase ("kill a zombie process"), or with closing punctuation a request to be used verbatim."""
    intent: Intent
    hazard: Hazard | None = None
    """The hazard it belongs to, or for a benign look-alike, the one it resembles."""
    parent: str | None = None
    """For a look-alike: the id of the harmful seed whose words it borrows."""
    tags: tuple[str, ...] = ()
    language: str | None = None
    """BCP 47, where the file says; None: not said."""
    strategy: str | None = None
    """The only strategy it may be dressed up with; None: any of the mix that applies."""
    turns: tuple[str, ...] = ()
    """A conversation that is replayed as it stands: the user's turns, `goal` being the last."""

    @property
    def kind(self) -> Kind:
        """harmful, lookalike (benign, yet it resembles a hazard) or ordinary."""
        if self.intent == "harmful":
            return "harmful"
        return "lookalike" if self.parent or self.hazard else "ordinary"


class Rollout(Record):
    """One attempt of a round to make the learner err on a seed; it may take several attacks."""

    round: int
    seed: Seed
    index: int
    """Counts the rollouts of this seed in this round."""
    position: int = 0
    """Place in the round's schedule."""

    @property
    def id(self) -> str:
        """`r001/SEED/0`; stable whatever the order of completion."""
        return f"r{self.round:03d}/{self.seed.id}/{self.index}"

    def attack_id(self, step: int) -> str:
        """The rollout's id for its first attack, `r001/SEED/0.1` for the next."""
        return f"{self.id}.{step}" if step else self.id


def rollout_of(attack_id: str) -> str:
    """The id of the rollout that an attack belongs to."""
    head, slash, tail = attack_id.rpartition("/")
    return head + slash + tail.partition(".")[0]


class Draft(Record):
    """What the attacker's model was asked and what it wrote: the attacker learns from these."""

    prompt: Messages
    text: str


class Attack(Record):
    """A conversation that ends with a user turn and tries to make the learner err."""

    id: str
    """See `Rollout.attack_id`."""
    seed: Seed
    strategy: str
    """The strategy's name; of a chain, all names joined by `+`."""
    strategy_sha256: str
    """Hash of its files, so that results of different runs add up."""
    messages: Messages
    draft: Draft | None = None
    """None: no model wrote it."""
    parent: str | None = None
    """Id of the attack that it grew out of."""
    setup: bool = False
    """A turn that only prepares the next one: it is answered, neither judged nor learned from."""


class Generation(Record):
    """What a model wrote for one request."""

    text: str
    num_tokens: int
    logprob: float | None = None
    """Sum of the sampled tokens' log-probabilities, nats, at temperature 1; None where the pool can't tell."""
    finish: Literal["stop", "length"] = "stop"
    """stop: the model ended its turn; length: it was cut at `max_tokens`."""
    prompt_tokens: int = 0

    @property
    def complete(self) -> bool:
        """Whether the end token belongs to the text."""
        return self.finish == "stop"


class Response(Record):
    """One of the learner's n answers to an attack."""

    attack: Attack
    index: int
    generation: Generation
