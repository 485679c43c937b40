"""A toy embedder, the shipped probe on it, and exchanges for it to judge."""

from __future__ import annotations

import re
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from superalign.critic.constitution import load_constitution
from superalign.critic.options import ProbeOptions
from superalign.critic.probe.critic import ProbeCritic
from superalign.critic.probe.examples import LabelledPair, load_labelled
from superalign.critic.probe.fit import Vectors
from superalign.files.demonstrations import load_experts
from superalign.files.find import prompt_path
from superalign.records.rollout import Attack, Generation, Message, Response, Seed


class BagOfWords:
    """Words hashed to 256 places: a toy embedder, the same in every process."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        rows = np.zeros((len(texts), 256), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                row[crc32(word.encode()) % 256] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9)

    async def aembed(self, texts: Sequence[str]) -> Vectors:
        return self.embed(texts)


def probe(embedder: object, pairs: tuple[LabelledPair, ...] | None = None, **options: object) -> ProbeCritic:
    """The shipped examples, or others for their pairs."""
    labelled = load_labelled(prompt_path("critic/labelled.yaml"))
    return ProbeCritic(
        embedder,  # type: ignore[arg-type]
        labelled if pairs is None else labelled.model_copy(update={"pairs": pairs}),
        load_constitution(prompt_path("constitution.yaml")),
        ProbeOptions(**options),  # type: ignore[arg-type]
        load_experts(prompt_path("experts.yaml")),
    )


def response(goal: str, intent: str, text: str, index: int = 0) -> Response:
    hazard = "nonviolent_crimes" if intent == "harmful" else None
    seed = Seed(id="s", goal=goal, intent=intent, hazard=hazard)  # type: ignore[arg-type]
    attack = Attack(
        id="r001/s/0", seed=seed, strategy="d", strategy_sha256="0", messages=(Message(role="user", content=goal),)
    )
    return Response(attack=attack, index=index, generation=Generation(text=text, num_tokens=1))
