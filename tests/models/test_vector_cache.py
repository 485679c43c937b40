import subprocess
import sys

import numpy as np
import pytest

from superalign.models.embedder import Embedder
from superalign.models.vector_cache import VectorCache

ONE, TWO = np.array([1.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


class Counting(Embedder):
    """Letters as vectors, and a list of what was computed; no model."""

    def __init__(self, model):
        super().__init__(model)
        self.computed = []

    def _encode(self, texts):
        self.computed += texts
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32)


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("SUPERALIGN_HOME", str(tmp_path / "home"))
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("1")
    return folder


async def test_the_next_process_computes_only_what_is_new(model):
    Counting(model).embed(["a", "bb"])
    second = Counting(model)
    assert second.embed(["bb", "ccc", "a"])[:, 0].tolist() == [2, 3, 1]
    assert second.computed == ["ccc"]
    await second.aembed(["dddd", "a"])
    third = Counting(model)
    third.embed(["dddd"])
    assert third.computed == ["dddd"]  # a rollout's texts were not kept


def test_another_model_and_one_that_was_altered_know_nothing(model):
    Counting(model).embed(["a"])
    (model / "weights").write_text("2")
    altered = Counting(model)
    altered.embed(["a"])
    assert altered.computed == ["a"]
    hub = Counting("some/model")
    hub.embed(["a"])
    assert hub.computed == ["a"]


def test_the_oldest_go_first(tmp_path):
    cache = VectorCache(tmp_path / "v.sqlite", "m", limit=2)
    cache.put({"a": ONE})
    cache.put({"b": ONE, "c": TWO})
    assert sorted(cache.get(["a", "b", "c"])) == ["b", "c"]
    np.testing.assert_array_equal(cache.get(["c"])["c"], TWO)
    assert VectorCache(cache.path, "other").get(["b"]) == {}


@pytest.mark.parametrize("fault", ["rubbish", "folder", "cut"])
def test_a_file_that_is_no_good_costs_time_and_no_result(tmp_path, fault):
    path = tmp_path / "v.sqlite"
    cache = VectorCache(path, "m")
    if fault == "rubbish":
        path.write_text("not a database" * 100)
    elif fault == "folder":
        path.mkdir()
    else:
        cache.put({str(n): np.ones(384, np.float32) for n in range(50)})
        path.write_bytes(path.read_bytes()[:9000])
    assert cache.get(["a"]) == {}
    for _ in range(2):
        cache.put({"a": ONE})
    assert list(cache.get(["a"])) == ([] if fault == "folder" else ["a"])


def test_processes_share_it(tmp_path):
    program = (
        "import sys, numpy as np; from pathlib import Path; from superalign.models.vector_cache import VectorCache\n"
        "cache = VectorCache(Path(sys.argv[1]), 'm')\n"
        "four, own = np.ones(4, np.float32), sys.argv[2]\n"
        "for n in range(40): cache.put({f'{n}': four * n, f'{own}-{n}': four})"
    )
    path = tmp_path / "v.sqlite"
    running = [subprocess.Popen([sys.executable, "-c", program, str(path), str(n)]) for n in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    texts = [f"{n}" for n in range(40)] + [f"{p}-{n}" for p in range(3) for n in range(40)]
    found = VectorCache(path, "m").get(texts)
    assert len(found) == 160
    assert found["7"].tolist() == [7, 7, 7, 7]
