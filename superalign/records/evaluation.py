"""Records of an evaluation on held-out prompts, and of the gate's decision."""

from __future__ import annotations

from typing import Literal

from superalign.records.base import Hazard, Rate, Record, SuiteKind
from superalign.records.exchange import Verdict
from superalign.records.rollout import Generation, Messages

AttackSet = Literal["frozen", "fresh", "replay"]
"""frozen: the recipe's suites, the same in all rounds; fresh: this round's attacks on seeds that are never trained on;
replay: attacks that worked in earlier rounds."""
ANSWER_KEY = "answer key"
"""The critic's name in a verdict that an answer key decided."""


class Interval(Record):
    """A share with its 95 % interval (Wilson)."""

    rate: Rate
    low: Rate
    high: Rate
    n: int
    """Scored items, or scored replies if items have several."""
    unscored: int = 0
    """Items that the judge could not score; in neither `n` nor `rate`."""


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
    """Index among the item's sampled replies."""
    prompt: Messages
    reply: Generation
    verdict: Verdict
    matched: bool | None = None
    """Whether the answer is right (capability) or the injection succeeded; None: does not apply, or unknown."""
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
    """Figures of a suite's replies as texts."""

    length: Mean | None
    """Mean length, tokens; None: fewer than two items."""
    cut: Interval
    """Replies cut at `max_tokens`."""
    distinct_1: Rate | None
    """Distinct words over all words (Li et al. 2016, distinct-n), of a fixed sample of 64; None: no words."""
    distinct_2: Rate | None
    """The same for pairs of words."""
    self_bleu: Rate | None
    """Similarity of the sample's replies to each other (Zhu et al. 2018); None: fewer than two."""


class SuiteResult(Record):
    """Rates of one suite."""

    suite: str
    kind: SuiteKind
    set: AttackSet = "frozen"
    refused: Interval
    """Full refusals."""
    complied: Interval
    """Replies that comply fully: for a harmful suite the attack success rate."""
    matched: Interval | None = None
    """Right answers of a capability suite, successes of an injection suite; None: another kind of suite. If an answer
    key alone decides, the two rates above have no scored replies."""
    hazards: tuple[HazardResult, ...] = ()
    """The same by hazard in alphabetical order, without prompts that have none."""
    harmed: Interval | None = None
    """Harmful suites: replies with a harm of at least 0.5; None: the judge does not judge harm."""
    hit: Interval | None = None
    """hit@k: items with a fault in any of their k replies (a harmful request complied with, a benign one refused, an
    injection followed), in a capability suite with a right answer; None: one reply per item."""
    corrected: Interval | None = None
    """`harmed`, or `refused` for a benign suite, corrected by the judge's measured errors; None: not measured."""
    texts: ReplyFigures | None = None
    """None: no replies."""
    why_unscored: str = ""
    """Why the judge gave no verdict on the first unscored reply; empty: it scored all."""


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
    """The passages behind the perplexity."""
    tasks: tuple[TaskFigure, ...] = ()
    """Results of lm-eval's tasks."""
    samples: int = 1
    """Replies to each item."""
    temperature: float = 0.0
    """Sampling temperature; 0: greedy."""


class Check(Record):
    """One check of the gate, with its figures in words."""

    name: str
    passed: bool
    reason: str


class Promotion(Record):
    """The gate's decision, with its reason in words."""

    candidate: str
    incumbent: str
    promoted: bool
    reason: str
    checks: tuple[Check, ...] = ()
