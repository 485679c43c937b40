"""Texts, or pairs of texts -> probabilities of labels, by a sequence classifier of the transformers library."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from superalign.errors import ModelError
from superalign.files.yaml_lines import nearest


class SequenceClassifier:
    """Loaded at the first call, or by `load`; may be asked from any thread."""

    def __init__(self, model: str | Path, *, max_tokens: int = 512) -> None:
        self.model = str(model)
        """Local folder or hub id."""
        self.max_tokens = max_tokens
        """Longer texts are cut there."""
        self.exclusive = True
        """Whether exactly one label holds; else each has a probability of its own. Known once it is loaded."""
        self._lock = threading.Lock()
        self._tokenizer: Any = None
        self._net: Any = None

    def load(self, wanted: Collection[str]) -> None:
        """Load the model; raises ModelError when that fails, or a wanted label is not one of its labels."""
        with self._lock:
            self._load()
        labels = [str(label) for label in self._net.config.id2label.values()]
        if unknown := [label for label in wanted if label not in labels]:
            raise ModelError(f"{self.model} has no label {unknown[0]!r}", nearest(unknown[0], labels))

    async def classify(self, first: str, second: str | None) -> Mapping[str, float]:
        """Probability of every label, for a text or a pair, without blocking the event loop."""
        return await asyncio.to_thread(self._classify, first, second)

    def _classify(self, first: str, second: str | None) -> dict[str, float]:
        import torch

        with self._lock:
            self._load()
            texts = (first,) if second is None else (first, second)
            inputs = self._tokenizer(*texts, truncation=True, max_length=self.max_tokens, return_tensors="pt")
            with torch.inference_mode():
                logits: torch.Tensor = self._net(**inputs).logits[0].float()  # (labels,)
        if len(logits) == 1:  # one logit is a score of the one label
            odds = torch.sigmoid(logits)
        else:
            odds = torch.softmax(logits, 0) if self.exclusive else torch.sigmoid(logits)
        return {str(self._net.config.id2label[at]): float(p) for at, p in enumerate(odds)}

    def _load(self) -> None:
        if self._net is not None:
            return
        from transformers import AutoModelForSequenceClassification, AutoTokenizer
        from transformers.utils import logging as hf_logging

        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.model)
            net = AutoModelForSequenceClassification.from_pretrained(self.model).eval()
        except (OSError, ValueError) as error:
            hint = "name a local folder or a hub id of a sequence classifier"
            raise ModelError(f"{self.model}: can't load the classifier: {error!s:.300}", hint) from error
        self.exclusive = net.config.problem_type != "multi_label_classification"
        self._net = net
