"""Texts -> sentence embeddings, for the probe critic, near-duplicates and clusters."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from superalign.errors import ModelError

if TYPE_CHECKING:
    import torch

Vectors = NDArray[np.float32]


class Embedder:
    """A sentence encoder: mean of the last hidden states, scaled to length 1 (Sentence-BERT, arXiv 1908.10084).

    The model is loaded at the first call. `embed` may be called from any thread, `aembed` from one event loop at
    a time.
    """

    def __init__(
        self, model: str | Path, *, batch_size: int = 64, max_tokens: int = 256, cache_size: int = 4096
    ) -> None:
        self.model = str(model)
        """Local folder or hub id of a transformers encoder."""
        self.batch_size = batch_size
        self.max_tokens = max_tokens
        """Longer texts are cut there."""
        self.cache_size = cache_size
        """How many texts' vectors are remembered."""
        self._cache: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()
        self._tokenizer: Any = None
        self._encoder: Any = None
        self._waiting: list[tuple[tuple[str, ...], asyncio.Future[Vectors]]] = []
        self._drain: asyncio.Task[None] | None = None

    @property
    def dim(self) -> int:
        """Length of a vector; loads the model. Raises ModelError when it can't."""
        with self._lock:
            self._load()
            return int(self._encoder.config.hidden_size)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """(n, dim) float32, rows of length 1 in the order of `texts`. Raises ModelError when the model can't load."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        with self._lock:
            vectors = {text: self._cache[text] for text in texts if text in self._cache}
            new = sorted({text for text in texts if text not in vectors}, key=lambda text: (len(text), text))
            for start in range(0, len(new), self.batch_size):
                batch = new[start : start + self.batch_size]
                vectors.update(zip(batch, self._encode(batch), strict=True))
            for text in texts:
                self._cache[text] = vectors[text]
                self._cache.move_to_end(text)
            while len(self._cache) > self.cache_size:
                self._cache.popitem(last=False)
        return np.stack([vectors[text] for text in texts])

    async def aembed(self, texts: Sequence[str]) -> Vectors:
        """`embed` in a worker thread; what is asked while a batch is computed goes into the next one together."""
        loop = asyncio.get_running_loop()
        if self._drain is not None and self._drain.get_loop() is not loop:
            self._drain, self._waiting = None, []  # left over from a loop that was closed
        future: asyncio.Future[Vectors] = loop.create_future()
        self._waiting.append((tuple(texts), future))
        if self._drain is None or self._drain.done():
            self._drain = loop.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            asked, self._waiting = self._waiting, []
            try:
                vectors = await asyncio.to_thread(self.embed, [text for texts, _ in asked for text in texts])
            except Exception as error:  # each of those who wait gets it
                for _, future in asked:
                    if not future.done():
                        future.set_exception(error)
                continue
            start = 0
            for texts, future in asked:
                if not future.done():  # else its walk was cancelled
                    future.set_result(vectors[start : start + len(texts)])
                start += len(texts)

    def _load(self) -> None:
        if self._encoder is not None:
            return
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging as hf_logging

        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.model)
            self._encoder = AutoModel.from_pretrained(self.model).eval()
        except (OSError, ValueError) as error:
            cure = "name a local folder or a hub id of a sentence encoder (`superalign models pull minilm`)"
            raise ModelError(f"{self.model}: can't load the embedder: {error}", cure) from error

    def _encode(self, texts: list[str]) -> Vectors:
        import torch

        self._load()
        batch = self._tokenizer(texts, padding=True, truncation=True, max_length=self.max_tokens, return_tensors="pt")
        with torch.inference_mode():
            hidden: torch.Tensor = self._encoder(**batch).last_hidden_state  # (batch, seq, dim)
            mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
            vectors: Vectors = torch.nn.functional.normalize(mean.float(), dim=1).numpy()
        return vectors
