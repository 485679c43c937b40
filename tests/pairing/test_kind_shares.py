"""How a training set is shared between conformity and competence."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from superalign.pairing.kind_shares import Alternating, Cut, EffortOptions, GapAnnealing, Mixed, sizes, wanted_share
from superalign.records.rollout import Message
from superalign.records.training import Demonstration, Target


@pytest.mark.parametrize(
    ("options", "round", "gaps", "share"),
    [
        (Mixed(), 1, (0.9, 0.1), None),
        (Mixed(conformity=0.3), 1, (0.9, 0.1), 0.3),
        (Alternating(), 1, (0.0, 0.9), 1.0),
        (Alternating(), 2, (0.9, 0.0), 0.0),
        (Alternating(first="competence"), 1, (0.9, 0.0), 0.0),
        (GapAnnealing(), 1, (0.4, 0.2), 2 / 3),
        (GapAnnealing(least=0.1), 3, (0.98, 0.0), 0.9),
        (GapAnnealing(least=0.0), 3, (0.0, 0.2), 0.0),
        (GapAnnealing(), 1, (0.0, 0.0), 0.5),
    ],
)
def test_the_share_follows_round_and_gaps(
    options: EffortOptions, round: int, gaps: tuple[float, float], share: float | None
) -> None:
    assert wanted_share(options, round, *gaps) == (share if share is None else pytest.approx(share))


@given(st.integers(0, 500), st.integers(0, 500), st.none() | st.floats(0, 1))
def test_sizes_come_to_the_share_and_take_nothing_twice(harmful: int, benign: int, share: float | None) -> None:
    kept = sizes({"conformity": harmful, "competence": benign}, share)
    assert 0 <= kept["conformity"] <= harmful
    assert 0 <= kept["competence"] <= benign
    if share is None or (share > 0 and not harmful) or (share < 1 and not benign):
        assert kept == {"conformity": harmful, "competence": benign}
    else:
        assert abs(kept["conformity"] - share * sum(kept.values())) <= 1.5
        assert harmful - kept["conformity"] < 1 or benign - kept["competence"] < 1, "one side is used up"


def test_which_examples_are_left_out_depends_on_their_ids_alone() -> None:
    rows = [
        Demonstration(
            id=f"{kind}/{n}", origin="own", kind=kind, source="s",
            prompt=(Message(role="user", content="p"),), completion=Target(text="t"),
        )
        for kind in ("harmful", "lookalike", "ordinary")
        for n in range(10)
    ]  # fmt: skip
    cut = Cut.of(rows, 0.5)
    kept = {row.id for row in rows if cut.keeps(row)}
    again = Cut.of(reversed(rows), 0.5)
    assert kept == {row.id for row in rows if again.keeps(row)}
    assert (cut.kept, len(kept)) == ({"conformity": 10, "competence": 10}, 20)
    assert (cut.found["competence"], sum(id.startswith("harmful") for id in kept)) == (20, 10)
