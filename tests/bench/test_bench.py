"""`superalign bench loop`: the orchestrator keeps no exchange in memory."""

from __future__ import annotations

from superalign.bench.loop import LoopBench
from tests.cli.toy import superalign


def test_memory_stays_flat() -> None:
    done = superalign("bench", "loop", "--set", "exchanges=[64, 1000]", "--json")
    assert done.returncode == 0, done.stderr
    measured = LoopBench.model_validate_json(done.stdout)
    assert [size.exchanges for size in measured.sizes] == [64, 1000]
    assert measured.sizes[1].examples > 1500
    assert measured.growth < 1.05
    assert measured.kb_per_exchange < 3  # the examples alone would be 6 if a list held them
