"""Values: what a change came to, what the gate makes of it, and what of the past still holds."""

from __future__ import annotations

from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from superalign.errors import PromptFileError
from superalign.gate.decide import GateOptions, decide
from superalign.records.evaluation import Check, Evaluation, Promotion
from superalign.records.rollout import Generation, Message
from superalign.values.items import ValuesOptions, load_items
from superalign.values.metrics import BETTER, CAPABILITY, ValueResult, ValuesReport, checks, figures, with_values

OPTIONS = ValuesOptions(items="items.yaml")


def result(item: str, principle: str, new: float | None, old: float | None) -> ValueResult:
    prompt = (Message(role="user", content=item),)
    reply = Generation(text="r", num_tokens=1)
    return ValueResult(item=item, principle=principle, prompt=prompt, reply=reply, scores={"2": new, "1": old})


def side(moved: str, same: str) -> list[ValueResult]:
    """A letter an item. n: keeps the new rule, o: the old one, b: both, -: neither, ?: nobody can say."""
    scores = {"n": (1.0, 0.0), "o": (0.0, 1.0), "b": (1.0, 1.0), "-": (0.0, 0.0), "?": (None, None)}
    found = [result(f"m{i}", "moved", *scores[letter]) for i, letter in enumerate(moved)]
    return found + [result(f"s{i}", "same", *scores[letter]) for i, letter in enumerate(same)]


def report(candidate: list[ValueResult], incumbent: list[ValueResult]) -> ValuesReport:
    return figures(candidate, incumbent, incumbent, version="2", before="1", moved={"moved"})


def test_adoption_is_of_moved_principles_and_retention_of_the_others() -> None:
    found = report(side("nnbo-?", "bb-b"), side("oooooo", "bbb-"))
    assert found.adoption is not None
    assert found.stale is not None
    assert found.retention is not None
    assert (found.adoption.rate, found.adoption.n, found.adoption.unscored) == (0.6, 5, 1)
    assert (found.stale.rate, found.stale.n) == (0.2, 5)
    assert (found.retention.rate, found.retention.n) == (2 / 3, 3), "of what was kept when the version began"
    assert (found.won, found.lost) == (4, 1)
    assert [(p.principle, p.moved, p.kept.rate) for p in found.principles] == [
        ("moved", True, 0.6),
        ("same", False, 0.75),
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from("nob-?")] * 4), min_size=1, max_size=20))
def test_figures_agree_with_each_other(letters: list[tuple[str, ...]]) -> None:
    moved, same, then_moved, then_same = ("".join(row[i] for row in letters) for i in range(4))
    found = report(side(moved, same), side(then_moved, then_same))
    assert found.adoption is not None
    assert found.stale is not None
    assert found.adoption.rate + found.stale.rate <= 1 + 1e-9
    assert sum(p.kept.n for p in found.principles) == found.kept.n
    assert found.won + found.lost <= 2 * len(letters)


def gate(candidate: list[ValueResult], incumbent: list[ValueResult], *, alone: bool = True) -> Promotion:
    evaluation = Evaluation(checkpoint="c", judge="j", suites=())
    decision = decide(evaluation, evaluation.model_copy(update={"checkpoint": "i"}), (), GateOptions())
    assert {BETTER, CAPABILITY} <= {check.name for check in decision.checks}, "with_values knows them by name"
    return with_values(decision, checks(report(candidate, incumbent), OPTIONS), alone=alone)


@pytest.mark.parametrize(
    ("moved", "same", "promoted", "reason"),
    [
        ("nnnnnnnn", "bbbbbbbbbb", True, "8 won, 0 lost"),
        ("nnn-----", "bbbbbbbbbb", False, "3 won, 0 lost"),
        ("nnnnnnnn", "bbbbbbbb--", False, "unchanged principles together"),
        ("oooooooo", "bbbbbbbbbb", False, "0 won, 0 lost"),
    ],
)
def test_the_gate_wants_a_gain_that_is_no_chance_and_no_loss(
    moved: str, same: str, promoted: bool, reason: str
) -> None:
    decision = gate(side(moved, same), side("oooooooo", "bbbbbbbbbb"))
    assert decision.promoted is promoted
    assert reason in decision.reason


def test_where_suites_are_held_out_as_well_their_limits_hold() -> None:
    decision = gate(side("n" * 8, "b" * 8), side("o" * 8, "b" * 8), alone=False)
    assert not decision.promoted
    assert "there is no harmful suite" in decision.reason


def test_a_gain_in_harmlessness_is_as_good() -> None:
    better = Promotion(
        candidate="c",
        incumbent="i",
        promoted=True,
        reason="",
        checks=(Check(name=BETTER, passed=True, reason="safer"),),
    )
    same = side("nn", "bb")
    assert with_values(better, checks(report(same, same), OPTIONS), alone=False).reason.startswith("safer")


def test_faults_of_an_items_file_have_lines(tmp_path: Path) -> None:
    path = tmp_path / "items.yaml"
    path.write_text("items:\n- {id: a, principle: same, prompt: p}\n- {id: a, principle: smae, prompt: q}\n")
    with pytest.raises(PromptFileError) as caught:
        load_items(path, ["same", "moved"])
    assert str(caught.value).splitlines() == [
        f"{path}:3: item a stands on line 2 already; give it another id",
        f"{path}:3: no version of the constitution has a principle smae; did you mean same?",
    ]
