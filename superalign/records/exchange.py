"""The nouns of a rollout that was judged: verdict, critique, and all of a rollout on one line as an Exchange."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from superalign.records.base import Rate, Record
from superalign.records.rollout import Attack, Generation, Response

Refusal = Literal["none", "partial", "full"]
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)
Outcome = Literal["complied", "partial", "refused", "unscored"]
PERSON = "person"
"""Stands in a verdict for the critic's name where people overrode it."""


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
    refusals: tuple[Rate, Rate, Rate] | None = None
    """Probabilities of refusing not, in part and in full; None: the critic only says which."""
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
    """One finished rollout: one line of `exchanges.jsonl`."""

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
