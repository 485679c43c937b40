"""One row for a whole batch: what the examples have in common is computed once, and nothing is spent on padding.

Every prompt begins with the same system message; with short replies that is half of all tokens. So a batch becomes a
tree (common prefix, prompts, answers) laid out in one row, with each token's own position and an attention mask that
lets it see its ancestors only. The log-probabilities and gradients are those of the examples one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

WIDTH = 1024
"""Tokens of a row before the next one is begun: attention costs its square."""


class Packed(NamedTuple):
    """A batch in the form that the model computes."""

    inputs: dict[str, Tensor]
    """input_ids, position_ids: (rows, width); attention_mask: (rows, 1, width, width), 0 or the dtype's minimum."""
    where: Tensor
    """(num_labels,) flat positions whose next token is a label, in the order of `labels[:, 1:] != -100`."""


class _Node(NamedTuple):
    """A stretch of tokens in the tree."""

    tokens: list[int]
    position: int
    """Where its first token stands in the example."""
    parents: tuple[int, ...]
    """Nodes of the same row that it sees besides itself."""


def pack(input_ids: Tensor, attention_mask: Tensor, labels: Tensor, dtype: torch.dtype, *, pairs: bool) -> Packed:
    """(examples, seq), padded on the right -> rows of the tree.

    pairs: the lower half of the examples answers the upper half's prompts, as `DataCollatorForPreference` makes them.
    """
    lengths = attention_mask.sum(1).tolist()
    examples = [input_ids[i, :length].tolist() for i, length in enumerate(lengths)]
    starts: list[int] = (labels != -100).int().argmax(1).tolist()
    common = _common_prefix(examples, min(starts))
    half = len(examples) // 2
    groups = [(i, i + half) for i in range(half)] if pairs else [(i,) for i in range(len(examples))]
    rows: list[list[_Node]] = []
    places: dict[int, list[tuple[int, int]]] = {}
    width = 0
    for members in groups:
        branch = starts[members[0]] if len(members) > 1 else common
        size = branch - common + sum(len(examples[i]) - branch for i in members)
        if not rows or width + size > WIDTH:
            rows.append([_Node(examples[members[0]][:common], 0, ())])
            width = common
        nodes, row = rows[-1], len(rows) - 1
        parents: tuple[int, ...] = (0,)
        if branch > common:
            nodes.append(_Node(examples[members[0]][common:branch], common, parents))
            parents = (0, len(nodes) - 1)
        for i in members:
            nodes.append(_Node(examples[i][branch:], branch, parents))
            places[i] = [(row, node) for node in (*parents, len(nodes) - 1)]
        width += size
    return _lay_out(rows, places, labels, dtype)


def _lay_out(
    rows: list[list[_Node]], places: dict[int, list[tuple[int, int]]], labels: Tensor, dtype: torch.dtype
) -> Packed:
    width = max(sum(len(node.tokens) for node in nodes) for nodes in rows)
    device = labels.device
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros_like(ids)
    mask = torch.full((len(rows), 1, width, width), torch.finfo(dtype).min, dtype=dtype)
    spans: list[list[tuple[int, int]]] = []
    for row, nodes in enumerate(rows):
        at, in_row = 0, list[tuple[int, int]]()
        for node in nodes:
            end = at + len(node.tokens)
            in_row.append((at, end))
            ids[row, at:end] = torch.tensor(node.tokens, dtype=torch.long)
            positions[row, at:end] = torch.arange(node.position, node.position + len(node.tokens))
            for parent in node.parents:
                mask[row, 0, at:end, in_row[parent][0] : in_row[parent][1]] = 0
            length = end - at
            causal = torch.ones(length, length, dtype=torch.bool).tril()
            mask[row, 0, at:end, at:end].masked_fill_(causal, 0)
            at = end
        mask[row, 0, at:, 0] = 0  # padding must see something, or its softmax is no number
        spans.append(in_row)
    where = []
    for example in range(len(labels)):
        flat = [row * width + i for row, node in places[example] for i in range(*spans[row][node])]
        trained = (labels[example, 1:] != -100).nonzero()[:, 0].tolist()
        where += [flat[i] for i in trained]
    inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": mask}
    return Packed({name: tensor.to(device) for name, tensor in inputs.items()}, torch.tensor(where, device=device))


def _common_prefix(examples: list[list[int]], limit: int) -> int:
    """Tokens that all examples begin with, at most `limit`."""
    first = examples[0]
    for i in range(limit):
        if any(example[i] != first[i] for example in examples):
            return i
    return limit
