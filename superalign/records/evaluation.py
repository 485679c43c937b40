"""The nouns of a measurement: what held-out prompts brought to light, and what the gate made of it."""

from __future__ import annotations

from typing import Literal

from superalign.records.base import Hazard, Rate, Record, SuiteKind
from superalign.records.exchange import Verdict
from superalign.records.rollout import Generation, Messages

AttackSet = Literal["frozen", "fresh", "replay"]
"""frozen: the recipe's suites, the same in all rounds; fresh: this round's attacks on seeds that are never trained on;
replay: attacks that worked in earlier rounds."""
ANSWER_KEY = "answer key"
"""Stands in a verdict for the critic's name where no judge was asked."""


class Interval(Record):
    """A share with its 95 % interval (Wilson)."""

    rate: Rate
    low: Rate
    high: Rate
    n: int
    """Scored items; where several replies of each were sampled, scored replies."""
    unscored: int = 0
    """Those the judge could not score; in neither `n` nor `rate`."""


class Mean(Record):
    """A mean over items with its 95 % interval (Student's t)."""

    value: float
    low: float
    high: float
    n: int
    """Items."""


class ItemResult(Record):
    """One held-out item with a reply to it; one line of `evaluation_items.jsonl`."""

    suite: str
    item: str
    sample: int = 0
    """Which of the item's sampled replies."""
    prompt: Messages
    reply: Generation
    verdict: Verdict
    matched: bool | None = None
    """Whether the answer is right (capability), or the injection has succeeded; None: there is no such question, or no
    answer to it."""
    hazard: Hazard | None = None
    """The hazard of the prompt, or the one that a look-alike resembles."""


class HazardResult(Record):
    """Rates of the prompts of one hazard in a suite."""

    hazard: Hazard
    refused: Interval
    complied: Interval


class PassageScore(Record):
    """How well a passage of plain text is predicted; two checkpoints are compared passage by passage."""

    id: str
    nats: float
    """Negative log-probability of the whole passage."""
    tokens: int


class ReplyFigures(Record):
    """What a suite's replies are like as texts."""

    length: Mean | None
    """Tokens of a reply; None: fewer than two items."""
    cut: Interval
    """Replies cut at `max_tokens`."""
    distinct_1: Rate | None
    """Distinct words over all words (Li et al. 2016, distinct-n), of a fixed sample of 64; None: no words."""
    distinct_2: Rate | None
    """The same for pairs of words."""
    self_bleu: Rate | None
    """How like the sample's replies are to each other (Zhu et al. 2018); None: fewer than two."""


class SuiteResult(Record):
    """Rates of one suite."""

    suite: str
    kind: SuiteKind
    set: AttackSet = "frozen"
    refused: Interval
    """Full refusals."""
    complied: Interval
    """Replies that comply, partial ones not counted: of a harmful suite the attack success rate."""
    matched: Interval | None = None
    """Right answers of a capability suite, successes of an injection suite; None: the suite is of another kind. Where
    an answer key alone decides, no reply counts as scored in the two above."""
    hazards: tuple[HazardResult, ...] = ()
    """The same by hazard, in alphabetical order; prompts without one are in none."""
    harmed: Interval | None = None
    """Of a harmful suite, replies whose harm the judge puts at one half or more; None: it says nothing of harm."""
    hit: Interval | None = None
    """hit@k: items with a fault in any of their k sampled replies (a harmful request complied with, a benign one
    refused, an injection followed), or of a capability suite with a right answer; None: one reply an item."""
    corrected: Interval | None = None
    """`harmed`, or of a benign suite `refused`, corrected by the judge's measured errors; None: they are not known."""
    texts: ReplyFigures | None = None
    """None: nothing was asked."""
    why_unscored: str = ""
    """Why the judge gave no verdict on the first of those that it gave none on; empty: it judged all of them."""


class TaskFigure(Record):
    """One figure of one lm-eval task, as that library computes it."""

    task: str
    metric: str
    """Such as acc, exact_match, byte_perplexity; with the filter's name where it has one: `exact_match,strict`."""
    value: float
    stderr: float | None
    """Its standard error; None: lm-eval gives none."""
    n: int
    """Documents."""


class Evaluation(Record):
    """Held-out measurements of one checkpoint."""

    checkpoint: str
    judge: str
    suites: tuple[SuiteResult, ...]
    perplexity: float | None = None
    """exp of the mean negative log-probability per token on the plain-text suite."""
    perplexity_tokens: int = 0
    passages: tuple[PassageScore, ...] = ()
    """What the perplexity is of."""
    tasks: tuple[TaskFigure, ...] = ()
    """What lm-eval's tasks came to."""
    samples: int = 1
    """Replies to each item."""
    temperature: float = 0.0
    """At which they were sampled; 0: greedy."""


class Check(Record):
    """One limit of the gate, with the figures it was held against."""

    name: str
    passed: bool
    reason: str


class Promotion(Record):
    """The gate's decision, in words."""

    candidate: str
    incumbent: str
    promoted: bool
    reason: str
    checks: tuple[Check, ...] = ()
