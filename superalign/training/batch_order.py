"""Which example is trained when: a pure function, so that a resumed training sees what the killed one would have."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import ceil

from superalign.training.options import StepOptions

GROUP = 16
"""Length grouping sorts within this many batches at a time; the more, the less padding and the less mixing."""


def order(lengths: Sequence[int], options: StepOptions, seed: int) -> list[int]:
    """Indices of the examples, batch after batch, for all steps.

    Each epoch is a new shuffle; what does not fill a batch at its end goes into the next one. With `length_grouped`,
    batches are cut from stretches of the shuffle that were sorted by length, and then shuffled themselves.
    """
    per_step = options.batch_size * options.gradient_accumulation
    steps = options.max_steps or max(1, ceil(len(lengths) * options.epochs / per_step))
    dice = random.Random(seed)
    indices: list[int] = []
    rest: list[int] = []
    while len(indices) < steps * per_step:
        epoch = list(range(len(lengths)))
        dice.shuffle(epoch)
        epoch = rest + epoch
        full = len(epoch) - len(epoch) % options.batch_size
        epoch, rest = epoch[:full], epoch[full:]
        indices += _grouped(epoch, lengths, options.batch_size, dice) if options.length_grouped else epoch
    return indices[: steps * per_step]


def _grouped(epoch: list[int], lengths: Sequence[int], batch_size: int, dice: random.Random) -> list[int]:
    batches: list[list[int]] = []
    for start in range(0, len(epoch), GROUP * batch_size):
        stretch = sorted(epoch[start : start + GROUP * batch_size], key=lambda i: lengths[i])
        batches += [stretch[at : at + batch_size] for at in range(0, len(stretch), batch_size)]
    dice.shuffle(batches)
    return [index for batch in batches for index in batch]
