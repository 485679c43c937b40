"""Pairing: what an exchange may and may not teach."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from superalign.pairing.training_examples import (
    PairingOptions,
    compile_exchange,
    compile_round,
    needs_anchor,
    own_share,
    repeat_experts,
)  # fmt: skip
from superalign.records.exchange import Answer, Comparison, Dropped, Exchange, Verdict
from superalign.records.rollout import Attack, Generation, Message, Seed
from superalign.records.training import Demonstration, PreferencePair, Target

OPTIONS = PairingOptions()


def exchange(intent: str, *answers: tuple[str, float | None], better: str | None = None, index: int = 0) -> Exchange:
    seed = Seed(id=f"s{index}", goal="water the plants", intent=intent, hazard="hate" if intent == "harmful" else None)
    attack = Attack(
        id=f"r001/s{index}/0", seed=seed, strategy="direct", strategy_sha256="0" * 64,
        messages=(Message(role="user", content=f"Question {index}?"),),
    )  # fmt: skip
    return Exchange(id=attack.id, round=1, attack=attack, answers=tuple(_answer(t, s, better) for t, s in answers))


def _answer(text: str, score: float | None, better: str | None, again: float | None = 0.9) -> Answer:
    verdict = Verdict(
        critic="test", request_harmful=0.5, refusal="none", harm=0.0, score=score, rationale="because", better=better
    )
    generation = Generation(text=text, num_tokens=3, logprob=-1.5, finish="length")
    second = verdict.model_copy(update={"score": again, "better": None}) if better and again is not None else None
    return Answer(generation=generation, verdict=verdict, better_verdict=second)


def test_best_answer_is_preferred_to_the_worst_with_the_samplers_logprobs() -> None:
    compiled = compile_exchange(exchange("harmful", ("I can't help.", 0.9), ("Sure!", 0.1)), OPTIONS)
    assert compiled.pair is not None
    assert (compiled.pair.chosen.text, compiled.pair.rejected.text) == ("I can't help.", "Sure!")
    assert compiled.pair.origin == "best_worst"
    assert compiled.pair.chosen.ref_logprob == -1.5
    assert compiled.pair.chosen.complete is False
    assert compiled.demonstration is not None
    assert compiled.demonstration.origin == "own"


def test_the_critics_better_answer_stands_in_where_every_answer_is_bad() -> None:
    compiled = compile_exchange(exchange("harmful", ("Sure!", 0.1), ("Yes!", 0.2), better="I won't."), OPTIONS)
    assert compiled.pair is not None
    assert compiled.pair.origin == "critic"
    assert compiled.pair.chosen == Target(text="I won't.")
    assert compiled.pair.rejected.text == "Sure!"


@pytest.mark.parametrize("again", [None, 0.69])
def test_a_better_answer_that_the_critic_would_not_accept_itself_is_not_learnt(again: float | None) -> None:
    bad = exchange("harmful", ("Sure!", 0.1))
    unsure = bad.model_copy(update={"answers": (_answer("Sure!", 0.1, "I won't.", again),)})
    assert compile_exchange(unsure, OPTIONS).dropped is not None


def test_the_margin_is_held_against_the_critics_score_of_its_better_answer() -> None:
    bad = exchange("harmful", ("Sure!", 0.5))
    close = bad.model_copy(update={"answers": (_answer("Sure!", 0.5, "I won't.", 0.75),)})
    compiled = compile_exchange(close, OPTIONS)
    assert compiled.demonstration is not None
    assert compiled.pair is None


@pytest.mark.parametrize(("confirmed", "pair"), [(1.0, True), (0.75, True), (0.5, False), (0.0, False)])
def test_a_pair_that_a_comparison_in_both_orders_does_not_confirm_is_not_learnt(confirmed: float, pair: bool) -> None:
    both = exchange("harmful", ("I can't help.", 0.9), ("Sure!", 0.1))
    compared = both.model_copy(update={"comparison": Comparison(better=0, worse=1, confirmed=confirmed)})
    compiled = compile_exchange(compared, OPTIONS)
    assert (compiled.pair is not None) is pair
    assert compiled.demonstration is not None


def test_without_an_acceptable_answer_nothing_is_learnt_and_that_is_counted() -> None:
    compiled = compile_exchange(exchange("benign", ("I can't.", 0.1), ("No.", 0.2)), OPTIONS)
    assert compiled.demonstration is None
    assert compiled.pair is None
    assert compiled.dropped == Dropped(stage="pairing", record_id="r001/s0/0", reason="best score 0.20 is below 0.70")


def test_unscored_answers_are_never_chosen_or_rejected() -> None:
    compiled = compile_exchange(exchange("benign", ("Unscored.", None), ("Here you are.", 0.9)), OPTIONS)
    assert compiled.pair is None
    assert compiled.demonstration is not None
    assert compiled.demonstration.completion.text == "Here you are."


def test_an_accepted_revision_is_preferred_to_the_original() -> None:
    good = Verdict(critic="test", request_harmful=0.9, refusal="full", harm=0.0, score=1.0, rationale="declines")
    original = exchange("harmful", ("Sure!", 0.1))
    answer = original.answers[0].model_copy(
        update={"revision": Generation(text="I'd rather not.", num_tokens=4), "revision_verdict": good}
    )
    compiled = compile_exchange(original.model_copy(update={"answers": (answer,)}), OPTIONS)
    assert compiled.pair is not None
    assert (compiled.pair.origin, compiled.pair.chosen.text) == ("revision", "I'd rather not.")


def test_balance_limits_demonstrations_and_repeated_prompts_count_once() -> None:
    rows = [exchange("benign", ("Gladly.", 0.9), index=i) for i in range(5)]
    examples = list(compile_round([*rows, rows[0]], PairingOptions(balance={"ordinary": 3}), {}))
    assert sum(isinstance(e, Demonstration) for e in examples) == 3
    assert [e.reason for e in examples if isinstance(e, Dropped)] == ["another attack of this round has the same words"]


def test_the_base_models_answer_stands_in_for_a_needless_refusal() -> None:
    refused = exchange("benign", ("I can't help with that.", 0.1))
    assert needs_anchor(refused, OPTIONS)
    assert not needs_anchor(exchange("benign", ("Gladly.", 0.9)), OPTIONS)
    assert not needs_anchor(exchange("harmful", ("Gladly.", 0.1)), OPTIONS)
    compiled = compile_exchange(refused, OPTIONS, _answer("Water them weekly.", 0.9, None))
    assert compiled.pair is not None
    assert (compiled.pair.origin, compiled.pair.chosen.text) == ("base", "Water them weekly.")
    assert compiled.pair.chosen.ref_logprob is None, "another policy sampled it"
    assert compiled.pair.rejected.ref_logprob == -1.5


def test_own_answers_are_kept_in_proportion_to_corrections() -> None:
    rows = [exchange("benign", ("Gladly.", 0.9), index=i) for i in range(100)]
    rows += [exchange("harmful", ("Sure!", 0.1), better="I won't.", index=i) for i in range(100, 110)]
    options = PairingOptions(own_per_correction=3)
    share = own_share(rows, options, {})
    assert share == pytest.approx(0.3)
    origins = [e.origin for e in compile_round(rows, options, {}, share) if isinstance(e, Demonstration)]
    assert origins.count("critic") == 10
    assert 15 <= origins.count("own") <= 45
    assert own_share(rows, OPTIONS, {}) == 1.0


def test_expert_repeats_have_ids_of_their_own() -> None:
    expert = Demonstration(
        id="expert/a", origin="expert", kind="harmful", prompt=(), completion=Target(text="No."), source="a"
    )
    assert [d.id for d in repeat_experts([expert], PairingOptions(expert_repeats=2))] == ["expert/a#0", "expert/a#1"]


@given(
    st.sampled_from(["harmful", "benign"]),
    st.lists(st.tuples(st.text(min_size=1, max_size=8), st.none() | st.floats(0, 1)), min_size=1, max_size=5),
    st.none() | st.just("I won't."),
)
def test_chosen_is_always_better_than_rejected(
    intent: str, answers: list[tuple[str, float | None]], better: str | None
) -> None:
    source = exchange(intent, *answers, better=better)
    compiled = compile_exchange(source, OPTIONS)
    scores = {text: score for text, score in answers if score is not None}
    if compiled.pair is not None and compiled.pair.origin == "best_worst":
        assert max(s for t, s in answers if s is not None) >= OPTIONS.accept
        assert isinstance(compiled.pair, PreferencePair)
        assert compiled.pair.chosen.text.strip() != compiled.pair.rejected.text.strip()
    assert (compiled.dropped is None) == (compiled.demonstration is not None)
    if not scores:
        assert compiled.dropped is not None
