"""The nouns of training: what is learned from, and what comes of it."""

from __future__ import annotations

from typing import Literal

from superalign.records.base import Kind, Record
from superalign.records.rollout import Messages

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
