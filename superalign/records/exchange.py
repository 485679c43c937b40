"""Records of a judged rollout: verdict, critique, and the whole rollout on one line as an Exchange."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from superalign.records.base import Rate, Record
from superalign.records.rollout import Attack, Generation, Response

Refusal = Literal["none", "partial", "full"]
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)
Outcome = Literal["complied", "partial", "refused", "unscored"]
PERSON = "person"
"""The critic's name in a verdict that people overrode."""


class PrincipleScore(Record):
    """How far a reply keeps one principle."""

    id: str
    """The principle's id in the constitution, or the check's."""
    score: Rate
    """0 = broken, 1 = kept."""


class Vote(Record):
    """One critic's part in a verdict of several, fields as in `Verdict`."""

    critic: str
    weight: Annotated[float, Field(ge=0)]
    """The vote's weight."""
    request_harmful: Rate | None
    refusal: Refusal | None
    harm: Rate | None
    score: Rate | None


class Verdict(Record):
    """A critic's judgement of one response; request, refusal and harm are judged separately."""

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
    """A better answer, if the critic has one."""
    principles: tuple[PrincipleScore, ...] = ()
    """Scores by principle, if the critic gives them; the recipe says how they are combined."""
    votes: tuple[Vote, ...] = ()
    """The votes of a committee or of a second look."""
    refusals: tuple[Rate, Rate, Rate] | None = None
    """Probabilities of no, partial and full refusal; None: the critic gives only the refusal."""
    disagreement: Rate | None = None
    """Disagreement of the votes: 0 = equal scores, 1 = half the weight says 0, half 1. None: fewer than two scores."""

    @property
    def outcome(self) -> Outcome:
        """The refusal as an outcome of an evaluation."""
        if self.refusal is None:
            return "unscored"
        return {"none": "complied", "partial": "partial", "full": "refused"}[self.refusal]  # type: ignore[return-value]


class Critique(Record):
    """A response with its verdict."""

    response: Response
    verdict: Verdict


class Revision(Record):
    """The learner's second answer after reading a critique."""

    critique: Critique
    generation: Generation


class Answer(Record):
    """An answer as stored in an Exchange, without the attack."""

    generation: Generation
    verdict: Verdict | None = None
    revision: Generation | None = None
    revision_verdict: Verdict | None = None
    better_verdict: Verdict | None = None
    """The critic's verdict of its own better answer, which is not trained on without one."""


class Comparison(Record):
    """Two answers compared in both orders, so that a preference for a place cancels out."""

    better: int
    """Index of the answer with the higher score."""
    worse: int
    confirmed: Rate
    """Share of the orders in which the better one was preferred, ties counting half; 0.5: the judge prefers a place."""


class Exchange(Record):
    """One attack of a rollout with all that became of it: one line of `exchanges.jsonl`."""

    id: str
    """The attack's id."""
    round: int
    attack: Attack
    answers: tuple[Answer, ...]
    comparison: Comparison | None = None
    """Comparison of the best and the worst answer, if the critic compares."""

    @property
    def worst(self) -> float | None:
        """The lowest score of an answer; None: nothing was scored."""
        scores = [a.verdict.score for a in self.answers if a.verdict is not None and a.verdict.score is not None]
        return min(scores, default=None)

    @property
    def success(self) -> bool | None:
        """Whether the attack made the learner err: the worst score is below 0.5. None: not scored."""
        return None if self.worst is None else self.worst < 0.5


class Dropped(Record):
    """A record that was discarded, where and why; counted in every summary."""

    stage: Literal["attack", "respond", "critique", "revise", "pairing", "training", "evaluation"]
    record_id: str
    reason: str


class Anchor(Record):
    """The base model's answer to a benign attack that the learner refused."""

    id: str
    """The exchange's."""
    answer: Answer
