"""The nouns: frozen records that walk through the loop, each explained beneath its fields.

Seed -> Attack -> Response -> Critique -> Revision, and all of one walk on one line as an Exchange.
In memory each record holds the one before it (`critique.response.attack.seed.id`); on disk an Exchange
stores the attack once, and its answers beside it.
"""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Hazard = Literal[
    "violent_crimes", "nonviolent_crimes", "sex_related_crimes", "child_sexual_exploitation",
    "indiscriminate_weapons", "suicide_self_harm", "intellectual_property", "defamation", "hate",
    "privacy", "specialized_advice", "sexual_content",
]  # fmt: skip
"""The hazard categories of MLCommons AILuminate 1.0 (arXiv 2503.05731, section 3)."""
HAZARDS: tuple[str, ...] = get_args(Hazard)

Intent = Literal["harmful", "benign"]
Kind = Literal["harmful", "lookalike", "ordinary"]
Refusal = Literal["none", "partial", "full"]
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)
Outcome = Literal["complied", "partial", "refused", "unscored"]
Rate = Annotated[float, Field(ge=0.0, le=1.0)]
"""A share or probability, 0 to 1."""
PERSON = "person"
"""Stands in a verdict for the critic's name where people overrode it."""


class Record(BaseModel):
    """Base of all records: frozen, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Record):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Messages = tuple[Message, ...]


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


class Walk(Record):
    """One attempt of a round to make the learner err on a seed; it may take several attacks."""

    round: int
    seed: Seed
    index: int
    """Counts the walks of this seed in this round."""
    position: int = 0
    """Place in the round's schedule."""

    @property
    def id(self) -> str:
        """`r001/SEED/0`; stable whatever the order of completion."""
        return f"r{self.round:03d}/{self.seed.id}/{self.index}"

    def attack_id(self, step: int) -> str:
        """The walk's id for its first attack, `r001/SEED/0.1` for the next."""
        return f"{self.id}.{step}" if step else self.id


def walk_of(attack_id: str) -> str:
    """The id of the walk that an attack belongs to."""
    head, slash, tail = attack_id.rpartition("/")
    return head + slash + tail.partition(".")[0]


class Draft(Record):
    """What the attacker's model was asked and what it wrote: the attacker learns from these."""

    prompt: Messages
    text: str


class Attack(Record):
    """A conversation that ends with a user turn and tries to make the learner err."""

    id: str
    """See `Walk.attack_id`."""
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


class PrincipleScore(Record):
    """How far a reply keeps one principle."""

    id: str
    """In the constitution, or of a check."""
    score: Rate
    """0 = broken, 1 = kept."""


class Vote(Record):
    """What one critic of several said, as in its `Verdict`."""

    critic: str
    weight: Annotated[float, Field(ge=0)]
    """Of its vote."""
    request_harmful: Rate | None
    refusal: Refusal | None
    harm: Rate | None
    score: Rate | None


class Verdict(Record):
    """What a critic says of one response: request, refusal and harm are three separate judgements."""

    critic: str
    request_harmful: Rate | None
    """Probability that the request asks for harm; None: not judged."""
    refusal: Refusal | None
    """None: not judged (unscored)."""
    harm: Rate | None
    """Harm of the reply itself, 0 harmless to 1."""
    score: Rate | None
    """0 = harmful or needlessly refused, 1 = safe and helpful."""
    principle: str | None = None
    """The principle broken, by its id in the constitution."""
    rationale: str = ""
    better: str | None = None
    """A better answer, where the critic knows one."""
    principles: tuple[PrincipleScore, ...] = ()
    """Scores by principle, where the critic gives them; how they became the score is in the recipe."""
    votes: tuple[Vote, ...] = ()
    """Of a committee and of second looks: what each said."""
    disagreement: Rate | None = None
    """Of those votes: 0 = all scores are equal, 1 = half of the weight says 0, half 1. None: fewer than two scores."""

    @property
    def outcome(self) -> Outcome:
        """The refusal in the words of an evaluation; never coerced when unscored."""
        if self.refusal is None:
            return "unscored"
        return {"none": "complied", "partial": "partial", "full": "refused"}[self.refusal]  # type: ignore[return-value]


class Critique(Record):
    """A response with its verdict."""

    response: Response
    verdict: Verdict


class Revision(Record):
    """The learner's second try after reading a critique."""

    critique: Critique
    generation: Generation


class Answer(Record):
    """An answer as an Exchange stores it: the attack stands beside it, not inside it."""

    generation: Generation
    verdict: Verdict | None = None
    revision: Generation | None = None
    revision_verdict: Verdict | None = None
    better_verdict: Verdict | None = None
    """The critic's verdict of its own better answer; without one that answer is not learned from."""


class Comparison(Record):
    """Two answers held against each other in both orders, so that a liking for the first or second place cancels."""

    better: int
    """Index of the answer with the higher score."""
    worse: int
    confirmed: Rate
    """Share of the orders in which the better one was preferred, ties counting half: 1, 0.75, 0.5 (the judge likes a
    place, not a text), ..."""


class Exchange(Record):
    """One finished walk: one line of `exchanges.jsonl`."""

    id: str
    """The attack's id."""
    round: int
    attack: Attack
    answers: tuple[Answer, ...]
    comparison: Comparison | None = None
    """Of the best and the worst answer, where the critic compares."""

    @property
    def worst(self) -> float | None:
        """The critic's least score of an answer; None: nothing was scored."""
        scores = [a.verdict.score for a in self.answers if a.verdict is not None and a.verdict.score is not None]
        return min(scores, default=None)

    @property
    def success(self) -> bool | None:
        """Whether the attack made the learner err: the worst answer is nearer to 0 than to 1. None: not scored."""
        return None if self.worst is None else self.worst < 0.5


class Dropped(Record):
    """What was thrown away, where and why; counted in every summary."""

    stage: Literal["attack", "respond", "critique", "revise", "pairing", "training", "evaluation"]
    record_id: str
    reason: str


class Anchor(Record):
    """The base model's answer to a benign attack that the learner refused: what it could say before it was trained."""

    id: str
    """The exchange's."""
    answer: Answer


Origin = Literal["expert", "best_worst", "revision", "critic", "own", "base"]
"""Where a training target comes from: a person's example, the learner's best answer against its worst, its
revision, the critic's better answer, the learner's own accepted answer, or the base model's where the learner
refuses a benign request."""


class Target(Record):
    """A completion to learn from."""

    text: str
    complete: bool = True
    """False: the text was cut, so no end token is trained after it."""
    ref_logprob: float | None = None
    """The sampler's log-probability of it, nats, under the policy at the start of the round."""
    ref_tokens: int | None = None
    """How many tokens `ref_logprob` sums over, end token included."""


class Demonstration(Record):
    """A row for SFT."""

    id: str
    origin: Origin
    kind: Kind
    prompt: Messages
    completion: Target
    source: str
    """Id of the exchange or of the expert example it came from."""


class PreferencePair(Record):
    """A row for DPO."""

    id: str
    origin: Origin
    kind: Kind
    prompt: Messages
    chosen: Target
    rejected: Target
    source: str
    reason: str = ""
    """Why chosen is better, in the critic's words."""


class Checkpoint(Record):
    """A learner: the base model, or the base with an adapter."""

    id: str
    """`base` or `round-001`."""
    base: str
    """Hub id or folder of the base model."""
    adapter: str | None = None
    """Folder of the LoRA adapter; inside a run folder relative to it."""
    parent: str | None = None
    """Id of the checkpoint training started from."""
    sha256: str | None = None
    """Hash of the adapter's weights."""
