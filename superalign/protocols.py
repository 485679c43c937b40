"""Who acts in the loop, and what each can do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from superalign.records.base import Record
from superalign.records.evaluation import Evaluation, ItemResult
from superalign.records.exchange import Critique, Exchange, Revision
from superalign.records.rollout import Attack, Generation, Messages, Response, Rollout
from superalign.records.training import Checkpoint, Demonstration, PreferencePair

OnItem = Callable[[ItemResult], Awaitable[None]]
"""Told of every evaluated item as soon as it is there, so that it can be written down."""


class Sampling(Record):
    """How to sample one request."""

    n: int = 1
    temperature: float = 0.0
    """0: greedy."""
    top_p: float = 1.0
    min_p: float = 0.0
    """What is less likely than this share of the likeliest token, at the temperature, is not sampled (Nguyen et al.
    2024, arXiv 2407.01082)."""
    max_tokens: int = 256
    seed: int | None = None
    """Equal seeds give equal texts, alone or inside a batch."""
    stop: tuple[str, ...] = ()
    json_schema: dict[str, Any] | None = None
    """The reply is JSON of this schema: vLLM constrains it, transformers refuses, the scripted pool ignores it."""


class Score(Record):
    """Log-probabilities of a given continuation."""

    token_logprobs: tuple[float, ...]
    """(num_tokens,), nats, of the continuation's tokens, the end token included when asked for."""
    greedy: bool
    """Whether each of them is the likeliest where it stands, so that greedy decoding would have written it."""

    @property
    def total(self) -> float:
        """Sum over the tokens, nats."""
        return sum(self.token_logprobs)


class PoolStats(Record):
    """What a pool has done since it started."""

    requests: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0


@runtime_checkable
class InferencePool(Protocol):
    """One running engine for one base model and any number of checkpoints of it.

    `model` is a name that `serve` returned, or "base" for the base model as it is.
    """

    async def generate(self, model: str, messages: Messages | str, sampling: Sampling) -> list[Generation]:
        """Sample `sampling.n` replies, or of a plain text (its end, if it is too long) what comes after it; raises
        PoolError for an unknown model or a prompt that leaves no room.
        """
        ...

    async def score(self, model: str, messages: Messages | str, continuation: str, *, end: bool = False) -> Score:
        """Log-probabilities of `continuation` as the next assistant turn, or after a plain text (nothing: as plain text
        itself, in windows where it is longer than the model's); raises PoolError as `generate` does.
        """
        ...

    async def serve(self, checkpoint: Checkpoint) -> str:
        """Make a checkpoint available without a restart, prove it with a canary, return its name."""
        ...

    def paused(self) -> AbstractAsyncContextManager[None]:
        """Give memory and cores to the trainer inside the block; requests wait until it ends."""
        ...

    def stats(self) -> PoolStats:
        """Counts since the start."""
        ...

    async def close(self) -> None:
        """Stop the engine's processes; a second call does nothing."""
        ...


class Attacker(Protocol):
    """Seed -> Attack."""

    async def attack(self, rollout: Rollout, history: Sequence[Exchange]) -> Attack | None:
        """The rollout's next attack after those it has had; None: it is over; raises DropError when it can't go on.

        Equal arguments give equal attacks, whatever else runs meanwhile.
        """
        ...

    def over(self, rollout: Rollout, history: Sequence[Exchange]) -> None:
        """Told once of every rollout that has ended, with all it came to."""
        ...


class Learner(Protocol):
    """Attack -> Responses, Critique -> Revision."""

    async def respond(self, attack: Attack, n: int) -> list[Response]:
        """n sampled answers."""
        ...

    async def revise(self, critique: Critique) -> Revision:
        """A second try that has read the critique."""
        ...


class Critic(Protocol):
    """Response -> Critique."""

    async def critique(self, response: Response) -> Critique:
        """Judge and explain; raises DropError when no verdict can be had."""
        ...


@runtime_checkable
class Comparer(Protocol):
    """Two responses to one attack -> which is better."""

    async def compare(self, a: Response, b: Response) -> float:
        """How far `a` is better than `b`, 0 to 1, asked in both orders; raises DropError where no answer can be had."""
        ...


class Trainer(Protocol):
    """Examples -> Checkpoint."""

    async def train(
        self, demonstrations: Sequence[Demonstration], pairs: Sequence[PreferencePair], parent: Checkpoint, round: int
    ) -> Checkpoint:
        """Train a candidate; raises TrainingError with the incumbent untouched."""
        ...


class Evaluator(Protocol):
    """Checkpoint -> Evaluation."""

    @property
    def total(self) -> int:
        """Items of one evaluation."""
        ...

    async def evaluate(
        self, model: str, checkpoint: Checkpoint, *, done: Iterable[ItemResult], on_item: OnItem
    ) -> Evaluation:
        """Measure what the pool serves under the name `model`; `done` items are not asked again."""
        ...


class Observer(Protocol):
    """Who watches a run: a progress bar, plain lines, nobody."""

    def phase(self, round: int, name: str, total: int | None, done: int = 0) -> None:
        """A phase begins: `total` units of work, `done` of them from before an interruption."""
        ...

    def watch(self, stats: Callable[[], PoolStats]) -> None:
        """Where the tokens generated so far can be read."""
        ...

    def training(self, event: dict[str, Any]) -> None:
        """A line of the training child: {stage, step, steps, loss}."""
        ...

    def advance(self, units: int = 1) -> None:
        """So many units of the phase are finished."""
        ...

    def phase_done(self, seconds: float, tokens: int) -> None:
        """The phase has ended; `tokens` were generated in it."""
        ...

    def round_done(self, round: int) -> None:
        """A round is sealed."""
        ...

    def notice(self, text: str) -> None:
        """Something a person should know."""
        ...


class Silent:
    """An observer that says nothing."""

    def phase(self, round: int, name: str, total: int | None, done: int = 0) -> None: ...

    def watch(self, stats: Callable[[], PoolStats]) -> None: ...

    def training(self, event: dict[str, Any]) -> None: ...

    def advance(self, units: int = 1) -> None: ...

    def phase_done(self, seconds: float, tokens: int) -> None: ...

    def round_done(self, round: int) -> None: ...

    def notice(self, text: str) -> None: ...


class DropError(Exception):
    """This record can't go on; the orchestrator turns it into a `Dropped` and counts it."""
