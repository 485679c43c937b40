"""Checks every example in tokens, before any time is spent on training.

TRL silently drops a row whose prompt fills `max_length`, and only warns when the prompt is no token prefix of prompt +
completion; here both are counted, and an example that would train something else than was meant is an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, TypeVar

from superalign.errors import TrainingError
from superalign.records.base import Record
from superalign.records.exchange import Dropped
from superalign.records.rollout import Messages
from superalign.records.training import Demonstration, PreferencePair, Target

Fault = Literal["prefix", "no_end", "end_inside", "empty", "over_length", "equal"]
FAULTS: dict[Fault, tuple[str, str]] = {
    "prefix": (
        "the prompt is no token prefix of prompt + completion",
        "use a chat template that renders a prompt the same way with and without the answer after it",
    ),
    "no_end": (
        "the template puts no end token after a complete answer",
        "use a chat template that closes the assistant's turn with the tokenizer's end token",
    ),
    "end_inside": ("an end token stands inside the answer", "remove end tokens from the answers' text"),
    "empty": ("the completion is empty", "leave out examples without an answer"),
    "over_length": ("longer than max_length", "raise training max_length"),
    "equal": ("chosen and rejected are the same tokens", "leave out pairs that differ in nothing"),
}
DROPPABLE: frozenset[Fault] = frozenset(("over_length", "equal"))
"""Faults of single rows, dropped and counted; the others mean that template or compiler are wrong."""


class ChatTokenizer(Protocol):
    """The part of a transformers tokenizer that is used here."""

    eos_token_id: int

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str: ...

    def __call__(self, text: str, *, add_special_tokens: bool) -> dict[str, list[int]]: ...

    def decode(self, token_ids: list[int]) -> str: ...


class EncodedDemonstration(NamedTuple):
    """A demonstration in tokens."""

    id: str
    prompt: list[int]
    completion: list[int]

    @property
    def length(self) -> int:
        """Tokens of the row."""
        return len(self.prompt) + len(self.completion)


class EncodedPair(NamedTuple):
    """A pair in tokens; the reference log-probabilities are None where the sampler's do not fit these tokens."""

    id: str
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    ref_chosen: float | None
    ref_rejected: float | None

    @property
    def length(self) -> int:
        """Tokens of the row, the prompt counted once."""
        return len(self.prompt) + len(self.chosen) + len(self.rejected)

    @property
    def tokens(self) -> dict[str, list[int]]:
        """The row as TRL's collator takes it."""
        return {"prompt_ids": self.prompt, "chosen_ids": self.chosen, "rejected_ids": self.rejected}


class Preflight(Record):
    """How many examples can be trained on; part of `training.json`."""

    examples: int
    kept: int
    faults: dict[str, int]
    """How many rows of each fault."""
    dropped: tuple[Dropped, ...]
    tokens: int
    """Tokens of the kept rows; each answer of a pair is counted with its prompt, as plain DPO sees it."""


class _RowError(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault


Row = TypeVar("Row", Demonstration, PreferencePair)
Encoded = TypeVar("Encoded", EncodedDemonstration, EncodedPair)


def encode_demonstrations(
    rows: Sequence[Demonstration],
    tokenizer: ChatTokenizer,
    end_ids: frozenset[int],
    max_length: int,
    max_dropped: float = 0.5,
    completion_tokens: int | None = None,
) -> tuple[list[EncodedDemonstration], Preflight]:
    """Tokens of every good row; raises TrainingError with all counts when training would not do what was meant.

    completion_tokens: how many tokens of each completion are kept; the experts' stay whole.
    """

    def encode(row: Demonstration) -> EncodedDemonstration:
        prompt, completion = _encode(tokenizer, end_ids, row.prompt, row.completion)
        if row.origin != "expert":
            completion = completion[:completion_tokens]
        if len(prompt) + len(completion) > max_length:
            raise _RowError("over_length")
        return EncodedDemonstration(row.id, prompt, completion)

    kept, faults = _sift(rows, encode)
    return kept, _report("demonstrations", rows, kept, faults, sum(row.length for row in kept), max_dropped)


def encode_pairs(
    rows: Sequence[PreferencePair],
    tokenizer: ChatTokenizer,
    end_ids: frozenset[int],
    max_length: int,
    max_dropped: float = 0.5,
) -> tuple[list[EncodedPair], Preflight]:
    """As `encode_demonstrations`, for pairs."""

    def encode(row: PreferencePair) -> EncodedPair:
        prompt, chosen = _encode(tokenizer, end_ids, row.prompt, row.chosen)
        _, rejected = _encode(tokenizer, end_ids, row.prompt, row.rejected)
        if chosen == rejected:
            raise _RowError("equal")
        if len(prompt) + max(len(chosen), len(rejected)) > max_length:
            raise _RowError("over_length")
        references = _sampled_logprob(row.chosen, chosen), _sampled_logprob(row.rejected, rejected)
        return EncodedPair(row.id, prompt, chosen, rejected, *references)

    kept, faults = _sift(rows, encode)
    tokens = sum(row.length + len(row.prompt) for row in kept)
    return kept, _report("pairs", rows, kept, faults, tokens, max_dropped)


def _encode(
    tokenizer: ChatTokenizer, end_ids: frozenset[int], prompt: Messages, target: Target
) -> tuple[list[int], list[int]]:
    """(prompt ids, completion ids); the completion ends with the end token if the target is complete, else before."""
    if not target.text.strip():
        raise _RowError("empty")
    turns = [{"role": turn.role, "content": turn.content} for turn in prompt]
    asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    answered = tokenizer.apply_chat_template(
        [*turns, {"role": "assistant", "content": target.text}], tokenize=False, add_generation_prompt=False
    )
    prompt_ids = list(tokenizer(asked, add_special_tokens=False)["input_ids"])
    ids = list(tokenizer(answered, add_special_tokens=False)["input_ids"])
    if ids[: len(prompt_ids)] != prompt_ids:
        raise _RowError("prefix")
    completion = ids[len(prompt_ids) :]
    ends = [at for at, token in enumerate(completion) if token in end_ids]
    if len(ends) > 1:
        raise _RowError("end_inside")
    # Templates like to add a newline after the end token; the sampler never gets that far, so it isn't trained.
    if not ends or tokenizer.decode(completion[ends[0] + 1 :]).strip():
        raise _RowError("no_end")
    completion = completion[: ends[0] + 1] if target.complete else completion[: ends[0]]
    if not completion:
        raise _RowError("empty")
    return prompt_ids, completion


def _sampled_logprob(target: Target, ids: list[int]) -> float | None:
    """The sampler's log-probability, if it is one of as many tokens as will be trained."""
    return target.ref_logprob if target.ref_tokens == len(ids) else None


def _sift(rows: Sequence[Row], encode: Callable[[Row], Encoded]) -> tuple[list[Encoded], dict[str, Fault]]:
    kept: list[Encoded] = []
    faults: dict[str, Fault] = {}
    for row in rows:
        try:
            kept.append(encode(row))
        except _RowError as error:
            faults[row.id] = error.fault
    return kept, faults


def _report(
    noun: str, rows: Sequence[Row], kept: Sequence[Encoded], faults: dict[str, Fault], tokens: int, max_dropped: float
) -> Preflight:
    counts = Counter(faults.values())
    if rows and (counts.keys() - DROPPABLE or len(faults) > max_dropped * len(rows) or not kept):
        first = {fault: id for id, fault in reversed(faults.items())}
        counted = [f"{n} x {FAULTS[fault][0]} (first: {first[fault]})" for fault, n in sorted(counts.items())]
        raise TrainingError(
            f"preflight: {len(faults)} of {len(rows)} {noun} can't be trained on: " + "; ".join(counted),
            "; ".join(FAULTS[fault][1] for fault in sorted(counts)),
        )
    dropped = [Dropped(stage="training", record_id=id, reason=FAULTS[fault][0]) for id, fault in faults.items()]
    return Preflight(
        examples=len(rows), kept=len(kept), faults=dict(sorted(counts.items())), dropped=tuple(dropped), tokens=tokens
    )
