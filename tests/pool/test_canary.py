"""The canary's decision, on numbers."""

from __future__ import annotations

import math

import pytest

from superalign.pool.canary import fault

OLD, NEW = [-1.0, -2.0, -3.0], [-1.5, -2.5, -2.0]


def decide(
    served: list[float], reference: list[float] | None, *, tolerance: float = 0.01, changed: bool = True
) -> str | None:
    return fault(served, OLD, reference, tolerance=tolerance, changed=changed)


def test_new_scores_pass() -> None:
    assert decide(NEW, NEW) is None
    assert decide([value + 0.005 for value in NEW], NEW) is None
    assert decide(NEW, None) is None


@pytest.mark.parametrize("reference", [NEW, None])
def test_a_stale_swap_is_caught(reference: list[float] | None) -> None:
    assert decide(OLD, reference) is not None


def test_another_adapters_scores_are_caught_by_the_reference_alone() -> None:
    other = [-9.0, -9.0, -9.0]
    assert "forward pass" in str(decide(other, NEW))
    assert decide(other, None) is None


def test_scores_within_the_tolerance_must_still_be_nearer_to_the_new_weights() -> None:
    # bfloat16 is coarse: the tolerance alone would let the old weights pass.
    reference = [value + 0.2 for value in OLD]
    assert "no nearer" in str(fault([value + 0.09 for value in OLD], OLD, reference, tolerance=0.12, changed=True))
    assert fault([value + 0.15 for value in OLD], OLD, reference, tolerance=0.12, changed=True) is None


def test_an_adapter_that_changes_nothing_may_leave_the_scores_alone() -> None:
    assert decide(OLD, None, changed=False) is None
    assert decide(OLD, OLD, changed=False) is None


def test_not_a_number_and_a_wrong_length_are_caught() -> None:
    assert decide([math.nan, -1.0, -1.0], None) is not None
    assert decide(NEW[:2], NEW) is not None
