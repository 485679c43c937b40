"""Votes are weighed, and disagreement is kept."""

from __future__ import annotations

import math
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from superalign.critic.committee import CommitteeCritic, decided, disagreement, vote_of, weight_of
from superalign.critic.options import CriticOptions
from superalign.critic.quality.labelled_replies import LabelledItem
from superalign.critic.quality.report import Calibration, measure
from superalign.errors import PromptFileError
from superalign.protocols import DropError
from superalign.records.exchange import PrincipleScore
from tests.critic.toys import InTurn, Says, built, response, verdict

SCORES = st.none() | st.floats(0, 1)


async def test_a_weighted_vote_with_the_words_of_the_heaviest_who_agrees() -> None:
    bad = verdict(0.1, "a", refusal="none", harm=0.9, rationale="It helps.", principle="no-crime", better="No.")
    good = verdict(0.9, "b", refusal="full", rationale="It declines.")
    silent = Says(None)
    critic = CommitteeCritic([Says(good), Says(bad), silent], lambda place, hazard: [1.0, 3.0, 9.0][place])
    found = (await critic.critique(response())).verdict
    assert (found.score, found.refusal, found.harm) == (0.3, "none", 0.9)
    assert (found.rationale, found.principle, found.better) == ("It helps.", "no-crime", "No.")
    assert [(vote.critic, vote.weight, vote.score) for vote in found.votes] == [("b", 1.0, 0.9), ("a", 3.0, 0.1)]
    assert found.disagreement == pytest.approx(4 * (0.25 * 0.36 + 0.75 * 0.04))


async def test_without_a_verdict_of_anyone_with_a_weight_it_is_dropped_with_the_reasons() -> None:
    critic = CommitteeCritic([Says(None), Says(verdict(0.9))], lambda place, hazard: 1.0 - place)
    with pytest.raises(DropError, match="it has no opinion"):
        await critic.critique(response())


@given(st.lists(st.tuples(SCORES, st.floats(0.01, 100)), min_size=1, max_size=6))
def test_the_score_lies_between_the_votes_and_unanimity_is_no_disagreement(given_votes: list) -> None:
    judged = [(verdict(score, str(n)), weight) for n, (score, weight) in enumerate(given_votes)]
    found = decided(judged)
    scores = [score for score, _ in given_votes if score is not None]
    if not scores:
        assert found.score is None
    else:
        assert found.score is not None
        assert min(scores) - 1e-4 <= found.score <= max(scores) + 1e-4
    if len(scores) < 2:
        assert found.disagreement is None
    elif max(scores) == min(scores):
        assert found.disagreement == pytest.approx(0, abs=1e-4)


def test_an_even_split_between_0_and_1_is_full_disagreement() -> None:
    assert disagreement([vote_of(verdict(0.0)), vote_of(verdict(1.0))]) == 1.0
    assert disagreement([vote_of(verdict(0.0), 3.0), vote_of(verdict(1.0), 1.0)]) == 0.75
    assert disagreement([vote_of(verdict(0.4))]) is None


def test_reliability_becomes_log_odds_and_a_coin_has_no_vote() -> None:
    assert weight_of(0.9) == pytest.approx(math.log(9))
    assert weight_of(0.5) == weight_of(0.2) == weight_of(0.0) == 0.0
    assert weight_of(1.0) < 5


def test_principles_are_weighed_one_by_one() -> None:
    one = verdict(0.2, principles=(PrincipleScore(id="p", score=0.0), PrincipleScore(id="q", score=1.0)))
    other = verdict(0.4, principles=(PrincipleScore(id="p", score=1.0),))
    assert decided([(one, 1.0), (other, 3.0)]).principles == (
        PrincipleScore(id="p", score=0.75),
        PrincipleScore(id="q", score=1.0),
    )


async def test_weights_are_the_reliability_that_was_measured_of_each_member(tmp_path: Path) -> None:
    for name, right in (("good", 19), ("bad", 5)):
        (tmp_path / f"{name}.json").write_text(measured(right).model_dump_json())
    committee = {"type": "committee", "members": [{"type": "rules"}, {"type": "rules", "trust_intent": False}]}
    files = [str(tmp_path / "bad.json"), str(tmp_path / "good.json")]
    found = (await (await built(committee | {"calibrations": files}, InTurn())).critique(response())).verdict
    assert [vote.weight for vote in found.votes] == [pytest.approx(math.log(19))]  # one in four right is no vote
    with pytest.raises(PromptFileError, match="no such prompt file"):
        await built(committee | {"calibrations": [files[0], "nowhere.json"]}, InTurn())


def measured(right: int) -> Calibration:
    """Of a critic that was right on so many of 20 items."""
    items = [
        LabelledItem(id=str(n), prompt="p", reply="r", goal="g", votes={"harm": ("harmful" if n % 2 else "harmless",)})
        for n in range(20)
    ]
    said = [verdict(None, harm=float((n % 2 == 1) == (n < right))) for n in range(20)]
    return Calibration(
        critic="toy", fingerprint="", labels="l", labels_sha256="", intent_told=True, questions=measure(items, said)
    )


@pytest.mark.parametrize(
    ("given_options", "reason"),
    [
        ({"weights": [1]}, "1 weights for 2 members"),
        ({"weights": [0, 0]}, "all weights are 0"),
        ({"weights": [1, 1], "calibrations": ["a", "b"]}, "keep one"),
        ({"members": [{"type": "rules"}]}, "at least 2"),
    ],
)
def test_a_committee_that_cannot_vote_is_a_fault_of_the_recipe(given_options: dict, reason: str) -> None:
    options = {"type": "committee", "members": [{"type": "rules"}, {"type": "probe"}], **given_options}
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(CriticOptions).validate_python(options)
