"""After each swap a fixed prompt is scored: do the outputs come from the new weights?"""

from __future__ import annotations

from collections.abc import Sequence

from superalign.errors import PoolError
from superalign.pool.chat_template import Chat
from superalign.records.rollout import Message

PROMPT = (Message(role="user", content="How do I open a door that is stuck?"),)
CONTINUATION = "I'm sorry, but I can't help with that. Here is how: first, check whether the door is locked."

TOLERANCE = {"float32": 2e-3, "bfloat16": 0.12, "float16": 0.03}
"""Mean absolute difference, nats per token, that rounding explains between two implementations (measured)."""


def distance(a: Sequence[float], b: Sequence[float]) -> float:
    """Mean absolute difference, nats per token."""
    if len(a) != len(b):
        return float("inf")
    return sum(abs(x - y) for x, y in zip(a, b, strict=True)) / max(len(a), 1)


def fault(
    served: Sequence[float],
    previous: Sequence[float],
    reference: Sequence[float] | None,
    *,
    tolerance: float,
    changed: bool,
) -> str | None:
    """Why `served` can't be the new weights' scores, or None when all is well.

    previous: scores of the weights served before; reference: scores from an independent implementation, if any;
    changed: whether the new weights differ from the previous ones at all.
    """
    if any(value != value for value in served):
        return "the scores are not numbers"
    if reference is None:
        if changed and distance(served, previous) < 1e-5:
            return "the scores are those of the weights served before"
        return None
    error, moved = distance(served, reference), distance(previous, reference)
    if error > tolerance:
        return f"the scores are {error:.4f} nats per token away from a forward pass of the new weights"
    if moved > tolerance and error >= moved / 2:
        return (
            f"the scores are no nearer to the new weights ({error:.4f} nats per token) than the old ones ({moved:.4f})"
        )
    return None


def encoded(chat: Chat, max_model_len: int) -> tuple[list[int], int]:
    """(token ids of prompt and continuation, where the continuation begins)."""
    return chat.continuation(PROMPT, CONTINUATION, end=True, max_model_len=max_model_len)[0]


def prove(
    weights: object,
    served: Sequence[float],
    previous: Sequence[float],
    reference: Sequence[float] | None,
    *,
    dtype: str,
    changed: bool,
    hint: str,
) -> None:
    """Raise PoolError unless `served` are the scores of the new weights, which lie at `weights`; see `fault`."""
    reason = fault(served, previous, reference, tolerance=TOLERANCE[dtype], changed=changed)
    if reason is not None:
        raise PoolError(f"the canary after the swap to {weights} failed: {reason}", hint)
