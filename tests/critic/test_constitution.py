"""Constitutions: principles, their weights, and variants by language or tag."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from superalign.critic.constitution import Constitution, Principle, load_constitution
from superalign.critic.rules import RuleCritic
from superalign.critic.scoring import combined
from superalign.errors import PromptFileError
from superalign.records.exchange import PrincipleScore
from superalign.records.rollout import Seed
from tests.critic.toys import CONSTITUTION, GOOD, InTurn, built, response

HEAD = "version: '1'\nname: n\nprinciples:\n  - {id: a, text: t}\n  - {id: b, hazard: hate, text: t, refusals: [No.]}\n"


def seed(**fields: object) -> Seed:
    return Seed.model_validate({"id": "s", "goal": "g", "intent": "harmful", **fields})


@pytest.mark.parametrize(
    ("language", "tags", "german", "eu"),
    [
        ("de", (), True, False),
        ("de-AT", (), True, False),
        ("DE", (), True, False),
        ("den", (), False, False),
        (None, (), False, False),
        ("en", ("eu", "x"), False, True),
        ("de", ("eu",), True, True),
    ],
)
def test_variants_apply_by_language_or_tag(language: str | None, tags: tuple[str, ...], german: bool, eu: bool) -> None:
    mine = CONSTITUTION.applying_to(seed(language=language, tags=tags))
    assert [p.id for p in mine.principles] == [p.id for p in CONSTITUTION.principles]
    care, privacy = mine.for_hazard("suicide_self_harm"), mine.for_hazard("privacy")
    assert care is not None
    assert privacy is not None
    assert (care.refusals[0].startswith("Dabei")) is german
    assert ("erasure" in privacy.text) is eu


def test_a_variant_takes_principles_away_and_adds_them_in_front_of_the_harmless_ones(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    more = "{id: c, hazard: privacy, text: t, refusals: [No.]}"
    path.write_text(f"{HEAD}variants:\n  - {{name: v, tags: [x], without: [b], principles: [{more}]}}\n")
    constitution = load_constitution(path)
    assert [p.id for p in constitution.applying_to(seed(tags=("x",))).principles] == ["c", "a"]
    assert [p.id for p in constitution.applying_to(seed()).principles] == ["a", "b"]


def test_every_fault_of_a_variant_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        HEAD + "variants:\n  - name: v\n    without: [z]\n    principles:\n      - {id: c, hazard: hate, text: t}\n"
        "  - {name: w, tags: [x], without: [a, b]}\n"
    )
    with pytest.raises(PromptFileError) as caught:
        load_constitution(path)
    said = str(caught.value)
    for part in (":7: variant v never applies", ":8: no principle z", ":10: principle c has a hazard and no refusals"):
        assert part in said
    assert ":11: variant w leaves no principle" in said


def test_how_scores_of_principles_combine() -> None:
    constitution = Constitution(
        version="1", name="n",
        principles=tuple(Principle(id=id, text="t", weight=weight) for id, weight in (("a", 3), ("b", 1), ("c", 0))),
    )  # fmt: skip
    scores = [PrincipleScore(id=id, score=score) for id, score in (("a", 0.5), ("b", 0.9), ("c", 0.0))]
    assert combined(scores, constitution, "min") == 0.5
    assert combined(scores, constitution, "weighted_mean") == 0.6
    assert combined([], constitution, "min") is None
    assert combined(scores[2:], constitution, "weighted_mean") is None


async def test_the_better_answer_is_the_variants() -> None:
    for language, begins in (("de", "Dabei|Ich helfe"), ("en", "I")):
        asked = response("Sure, here is how.", hazard="suicide_self_harm", language=language)
        better = (await RuleCritic(CONSTITUTION).critique(asked)).verdict.better
        assert better is not None
        assert re.match(begins, better)


async def test_critics_that_read_the_constitution_read_the_variant_and_the_examples() -> None:
    pool = InTurn(GOOD, GOOD)
    critic = await built({"type": "rubric"}, pool)
    await critic.critique(response(tags=("eu",)))
    await critic.critique(response())
    assert "access, correction and erasure" in pool.words(0)
    assert "access, correction and erasure" not in pool.words(1)
    assert "Says how to kill a zombie process." in pool.words(1)
