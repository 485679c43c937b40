"""The reference of DPO: where its log-probabilities come from, and the proof that they are the right ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from superalign.errors import TrainingError
from superalign.training.preflight import EncodedPair
from superalign.training.stage import Stage, pick_dtype

PROBED = 4
"""Pairs whose log-probabilities are computed a second time, the plain way."""
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.05}
"""Nats per token between two ways to compute the same thing."""
Column = dict[str, float]


def reference_columns(
    trainer: Any, stage: Stage, rows: Sequence[EncodedPair], restore: Callable[[], None] | None
) -> tuple[list[Column], dict[str, int | str]]:
    """(reference log-probabilities of each pair, where they came from): the sampler's where they can be trusted.

    `restore` puts TRL's own forward back in place; that is done when ours does not agree with a plain forward pass.
    """
    options, tolerance = stage.options.dpo, TOLERANCE[pick_dtype(stage.options)]
    probed = sorted({i * (len(rows) - 1) // max(PROBED - 1, 1) for i in range(PROBED)})
    plain = {i: _plain(trainer, options.reference, rows[i]) for i in probed}
    origin: dict[str, int | str] = {}

    def gap(columns: dict[int, Column]) -> float:
        return _gap(rows, plain, {i: columns[i] for i in columns if i in plain})

    if restore and gap(_computed(trainer, rows, probed)) > tolerance:
        restore()
        origin["shared_prompts"] = "off: the model's log-probabilities differ when answers share a row"
    # The sampler wrote with the policy at the start of the round, which without a parent adapter is the base.
    sampled = _sampled(rows) if options.reference == "round_start" or stage.parent is None else {}
    missing = [i for i in range(len(rows)) if i not in sampled]
    if sampled:
        checked = sorted(sampled)[:: max(1, len(sampled) // PROBED)][:PROBED]
        plain |= {i: _plain(trainer, options.reference, rows[i]) for i in checked if i not in plain}
        off = gap({i: sampled[i] for i in checked})
        if off > options.reference_tolerance:
            origin["sampler_refused"] = (
                f"{off:.3g} nats per token from a forward pass, over reference_tolerance {options.reference_tolerance}"
            )
            sampled, missing = {}, list(range(len(rows)))
    columns = sampled | _computed(trainer, rows, missing)
    if gap({i: columns[i] for i in missing}) > tolerance:
        raise TrainingError(
            f"DPO's reference is not the policy it should be ({options.reference}): its log-probabilities differ from "
            f"a plain forward pass by more than {tolerance} nats per token",
            "report this with log.txt; `share_prompts: false` may avoid it",
        )
    return [columns[i] for i in range(len(rows))], origin | {"sampler": len(sampled), "computed": len(missing)}


class FirstStep(TrainerCallback):
    """At the first step the policy is still the reference, so the margin is zero and the loss log 2."""

    def __init__(self, stage: Stage, rows: Sequence[EncodedPair], origin: dict[str, int | str]) -> None:
        self.options = stage.options.dpo
        self.applies = self.options.reference == "round_start" or stage.parent is None
        per_token = self.options.reference_tolerance if origin["sampler"] else TOLERANCE[pick_dtype(stage.options)]
        longest = max(len(row.chosen) + len(row.rejected) for row in rows)
        self.slack = self.options.beta * per_token * longest

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: Any,
    ) -> None:
        """Raises TrainingError when the first batch's margin is not zero."""
        if self.applies and logs and state.global_step == 1 and "rewards/margins" in logs:
            margin = logs["rewards/margins"]
            if not abs(margin) <= self.slack:
                raise TrainingError(
                    f"the first DPO batch has margin {margin:.4g} and loss {logs['loss']:.4g} where it should have 0 "
                    "and 0.693: the reference is not the policy that training started from",
                    "give the adapter the pairs were sampled with as parent, or set reference: base",
                )


def _sampled(rows: Sequence[EncodedPair]) -> dict[int, Column]:
    return {
        i: {"ref_chosen_logps": row.ref_chosen, "ref_rejected_logps": row.ref_rejected}
        for i, row in enumerate(rows)
        if row.ref_chosen is not None and row.ref_rejected is not None
    }


def _computed(trainer: Any, rows: Sequence[EncodedPair], indices: Sequence[int]) -> dict[int, Column]:
    """With TRL's own reference pass, pairs of like length together."""
    columns: dict[int, Column] = {}
    size = trainer.args.per_device_train_batch_size
    by_length = sorted(indices, key=lambda i: rows[i].length)
    for at in range(0, len(by_length), size):
        batch = by_length[at : at + size]
        inputs = trainer.data_collator([rows[i].tokens for i in batch])
        inputs = {name: tensor.to(trainer.accelerator.device) for name, tensor in inputs.items()}
        chosen, rejected = trainer.compute_ref_log_probs(trainer.model, inputs)
        for i, c, r in zip(batch, chosen.tolist(), rejected.tolist(), strict=True):
            columns[i] = {"ref_chosen_logps": c, "ref_rejected_logps": r}
    return columns


@torch.no_grad()
def _plain(trainer: Any, reference: str, row: EncodedPair) -> Column:
    """The model's own forward, one answer at a time, all adapters off or the one on that is about to be trained."""
    device = trainer.accelerator.device

    def logprob(completion: list[int]) -> float:
        ids = torch.tensor([row.prompt + completion], device=device)
        logits = trainer.model(input_ids=ids, use_cache=False).logits[0, len(row.prompt) - 1 : -1].float()
        return float(logits.log_softmax(-1).gather(1, ids[0, len(row.prompt) :, None]).sum())

    was_training = trainer.model.training
    trainer.model.eval()
    with trainer.model.disable_adapter() if reference == "base" else nullcontext(), trainer.accelerator.autocast():
        column = {"ref_chosen_logps": logprob(row.chosen), "ref_rejected_logps": logprob(row.rejected)}
    trainer.model.train(was_training)
    return column


def _gap(rows: Sequence[EncodedPair], one: dict[int, Column], other: dict[int, Column]) -> float:
    """Mean difference in nats per token over the pairs that `other` has."""
    tokens = sum(len(rows[i].chosen) + len(rows[i].rejected) for i in other)
    apart = sum(abs(one[i][side] - value) for i, column in other.items() for side, value in column.items())
    return apart / max(tokens, 1)
