"""Texts -> sentence embeddings, for the probe critic, near-duplicates and clusters."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from superalign.errors import ModelError
from superalign.files.cache_dir import cache_home
from superalign.models.vector_cache import VectorCache
from superalign.models.vector_cache import Vectors as Vectors

if TYPE_CHECKING:
    import torch

_STEP = 16
"""Texts are padded to multiples of so many tokens, never to their neighbours' length: rounding then depends on the text
alone, and a vector is the same to the last bit whatever it was computed with."""


class Embedder:
    """A sentence encoder: mean of the last hidden states, scaled to length 1 (Sentence-BERT, arXiv 1908.10084).

    The model is loaded when it is first needed. What `embed` computed with a model from a local folder is kept in the
    user's cache and found there by the next process; what rollouts ask through `aembed` is seen once and not kept.
    `embed` may be called from any thread, `aembed` from one event loop at
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
        self._disk: VectorCache | None = None
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
        return self._embed(texts, keep=True)

    def _embed(self, texts: Sequence[str], *, keep: bool) -> Vectors:
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        with self._lock:
            vectors = {text: self._cache[text] for text in texts if text in self._cache}
            new = {text for text in texts if text not in vectors}
            if new and keep and (disk := self._kept()):
                found = disk.get(sorted(new))
                vectors.update(found)
                new -= found.keys()
            waiting, computed = sorted(new, key=lambda text: (len(text), text)), dict[str, Vectors]()
            for start in range(0, len(waiting), self.batch_size):
                batch = waiting[start : start + self.batch_size]
                computed.update(zip(batch, self._encode(batch), strict=True))
            if computed and keep and self._disk is not None:
                self._disk.put(computed)
            vectors.update(computed)
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
                whole = [text for texts, _ in asked for text in texts]
                vectors = await asyncio.to_thread(self._embed, whole, keep=False)
            except Exception as error:  # each of those who wait gets it
                for _, future in asked:
                    if not future.done():
                        future.set_exception(error)
                continue
            start = 0
            for texts, future in asked:
                if not future.done():  # else its rollout was cancelled
                    future.set_result(vectors[start : start + len(texts)])
                start += len(texts)

    def _kept(self) -> VectorCache | None:
        """None for a hub id: which revision it stands for is known only after loading."""
        if self._disk is None and (folder := Path(self.model)).is_dir():
            used = [_digest(folder), str(self.max_tokens), str(_STEP), version("torch"), version("transformers")]
            self._disk = VectorCache(cache_home() / "vectors.sqlite", "\n".join(used))
        return self._disk

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
            hint = "name a local folder or a hub id of a sentence encoder (`superalign models pull minilm`)"
            raise ModelError(f"{self.model}: can't load the embedder: {error}", hint) from error

    def _encode(self, texts: list[str]) -> Vectors:
        import torch

        self._load()
        tokens = self._tokenizer(texts, truncation=True, max_length=self.max_tokens)["input_ids"]
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(tokens):
            by_length[min(-(-len(ids) // _STEP) * _STEP, self.max_tokens)].append(row)
        vectors = np.empty((len(texts), int(self._encoder.config.hidden_size)), dtype=np.float32)
        for length, rows in by_length.items():
            some = {"input_ids": [tokens[row] for row in rows]}
            batch = self._tokenizer.pad(some, padding="max_length", max_length=length, return_tensors="pt")
            with torch.inference_mode():
                hidden: torch.Tensor = self._encoder(**batch).last_hidden_state  # (batch, seq, dim)
                mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
                mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
                vectors[rows] = torch.nn.functional.normalize(mean.float(), dim=1).numpy()
        return vectors


def _digest(folder: Path) -> str:
    """Hash of a model's files, by name; a pulled model's own hash list beside them is one of these."""
    whole = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            whole.update(f"{path.relative_to(folder).as_posix()}\n".encode())
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()
