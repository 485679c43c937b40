"""Texts -> sentence embeddings, for the probe critic, near-duplicates and clusters."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from superalign.errors import ModelError
from superalign.files.find import cache_home
from superalign.files.hashes import sha256_bytes, sha256_file
from superalign.models.vector_cache import VectorCache
from superalign.models.vector_cache import Vectors as Vectors

_STEP = 16
"""Texts are padded to multiples of so many tokens, never to their neighbours' length: rounding then depends on the text
alone, and a vector is the same to the last bit whatever it was computed with."""

_GPU_BYTES = 2_000_000_000
"""Free memory that a GPU must have; a sentence encoder needs less, its CUDA context included."""


class Embedder:
    """A sentence encoder (Sentence-BERT, arXiv 1908.10084), on the GPU if there is one; vectors have length 1.

    The model is loaded when it is first needed. What `embed` computes with a model from a local folder is kept in the
    user's cache and found there by the next process; what rollouts ask through `aembed` is seen once and not kept.
    `embed` may be called from any thread, `aembed` from one event loop at a time.
    """

    def __init__(
        self, model: str | Path, *, batch_size: int = 64, max_tokens: int = 256, cache_size: int = 4096
    ) -> None:
        self.model = str(model)
        """Local folder or hub id of a model that sentence-transformers loads; without a pooling module: mean."""
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
            return self._dim()

    def _dim(self) -> int:
        return int(self._encoder.get_embedding_dimension())

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
                kept = disk.get(sorted(new))
                vectors.update(kept)
                new -= kept.keys()
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
            packages = [version(name) for name in ("torch", "transformers", "sentence-transformers")]
            gpu = "gpu" if Path("/dev/nvidia0").exists() else "cpu"  # without torch, whose import takes seconds
            key = [_digest(folder), str(self.max_tokens), str(_STEP), gpu, *packages]
            self._disk = VectorCache(cache_home() / "vectors.sqlite", "\n".join(key))
        return self._disk

    def _load(self) -> None:
        if self._encoder is not None:
            return
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules.normalize import Normalize
        from transformers.utils import logging as hf_logging

        hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            encoder = SentenceTransformer(self.model, device=_device()).eval()
            if not any(isinstance(module, Normalize) for module in encoder):
                encoder.append(Normalize())
        except (OSError, ValueError) as error:
            hint = "name a local folder or a hub id of a sentence encoder (`superalign models pull minilm`)"
            raise ModelError(f"{self.model}: can't load the embedder: {error}", hint) from error
        self._encoder = encoder

    def _encode(self, texts: list[str]) -> Vectors:
        import torch

        self._load()
        tokenizer = self._encoder.tokenizer
        limit = min(self.max_tokens, self._encoder.max_seq_length or self.max_tokens)
        tokens = tokenizer(texts, truncation=True, max_length=limit)["input_ids"]
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for row, ids in enumerate(tokens):
            by_length[min(-(-len(ids) // _STEP) * _STEP, limit)].append(row)
        vectors = np.empty((len(texts), self._dim()), dtype=np.float32)
        for length, rows in by_length.items():
            some = {"input_ids": [tokens[row] for row in rows]}
            batch = tokenizer.pad(some, padding="max_length", max_length=length, return_tensors="pt")
            with torch.inference_mode():
                embedded = self._encoder({name: ids.to(self._encoder.device) for name, ids in batch.items()})
                vectors[rows] = embedded["sentence_embedding"].float().cpu().numpy()
        return vectors


def _device() -> str:
    """cuda, unless an engine has left too little of its memory, or cpu."""
    import torch

    return "cuda" if torch.cuda.is_available() and torch.cuda.mem_get_info()[0] > _GPU_BYTES else "cpu"


def _digest(folder: Path) -> str:
    """Hash of a model's files, by name; a pulled model's own hash list beside them is one of these."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return sha256_bytes("\n".join(f"{path.relative_to(folder).as_posix()} {sha256_file(path)}" for path in files))
