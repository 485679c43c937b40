"""How often the gate errs, by resampling the evaluations of a run."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gate_error_rates import run as bench_gate
from benchmarks.gate_record import SHIPPED, keep, recorded
from tests.loop.conftest import Whole


def test_the_gate_errs_as_seldom_as_it_should() -> None:
    found = bench_gate(resamples=60)
    assert found.items == {"harmful": 120, "lookalike": 120, "ordinary": 120}
    assert found.false_accept.low <= 0.05
    assert found.false_accept.rate < 0.1
    assert found.false_reject["15%"].rate <= 0.2
    assert found.false_reject["5%"].rate > found.false_reject["15%"].rate  # less is harder to see
    assert bench_gate(resamples=5) == bench_gate(resamples=5)
    loose = bench_gate(resamples=60, gate={"alpha": 0.45})
    assert loose.false_accept.low > 0.05  # it can fail


def test_the_gate_bench_reads_a_run(whole: Whole, tmp_path: Path) -> None:
    file = tmp_path / "kept.json"
    found = bench_gate(str(whole.path), resamples=4, to=str(file))
    assert {truth.candidate for truth in found.truths} == {"round-001", "round-002", "round-003"}
    assert found.gate.alpha == 0.49
    assert bench_gate(str(file), resamples=4) == found
    assert {group.partition("/")[0] for t in recorded(file).transitions for group in t.outcomes} == {
        "harmful", "lookalike", "ordinary",
    }  # fmt: skip


def test_the_gate_bench_knows_answer_keys(tmp_path: Path) -> None:
    found, file = recorded(SHIPPED), tmp_path / "keyed.json"
    answers = {"capability": ("yy",) * 100 + ("yn",) * 8 + ("ny",) * 8 + ("nn",) * 60 + ("uy",) * 4}
    round_2 = found.transitions[1]
    keyed = round_2.model_copy(update={"outcomes": {**round_2.outcomes, **answers}})
    keep(found.model_copy(update={"transitions": (keyed,)}), file)
    measured = bench_gate(str(file), resamples=40, gate={"max_capability_drop": 0.15})
    [forgot] = [truth.accepted for truth in measured.truths if truth.truth == "right answers down by 15%"]
    assert measured.items["capability"] == 180
    assert forgot.low <= 0.05
    loose = bench_gate(str(file), resamples=40, gate={"max_capability_drop": 0.15, "alpha": 0.49})
    assert max(truth.accepted.rate for truth in loose.truths if truth.truth.startswith("right")) > forgot.rate
