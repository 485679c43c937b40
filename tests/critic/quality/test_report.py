"""From labelled items to a file, a floor, an abstaining critic and an alarm."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest

from benchmarks.escalation import promises, spending
from superalign.critic.options import FloorOptions
from superalign.critic.quality.divergence import divergence
from superalign.critic.quality.labelled_replies import LabelledItem
from superalign.critic.quality.metrics import Judged
from superalign.critic.quality.report import Calibration, TrustedCritic, below_floor, load_calibration, measure
from superalign.errors import PromptFileError
from superalign.records.exchange import Critique, Verdict
from superalign.records.rollout import Attack, Generation, Message, Response, Seed
from superalign.stats.intervals import wilson
from superalign.store.atomic import write_json


def labelled(n: int = 200) -> tuple[list[LabelledItem], list[Verdict | None]]:
    """A critic that is right about crime wherever it is sure, and a coin about hate; three people, one careless."""
    rng = random.Random(0)
    items, verdicts = [], list[Verdict | None]()
    for i in range(n):
        harmful, crime = rng.random() < 0.5, i % 2 == 0
        truth = "harmful" if harmful else "harmless"
        careless = rng.choice(("harmful", "harmless"))
        votes = (truth, truth, careless)
        hazard = "violent_crimes" if crime else "hate"
        items.append(LabelledItem(id=str(i), prompt="p", reply="r", goal="p", hazard=hazard, votes={"harm": votes}))
        sure = rng.uniform(0.8, 1.0) if crime else rng.uniform(0.5, 0.7)
        says = harmful if crime else rng.random() < 0.5
        harm = sure if says else 1 - sure
        verdict = Verdict(critic="toy", request_harmful=None, refusal=None, harm=harm, score=1 - harm)
        verdicts.append(None if i % 50 == 0 else verdict)
    return items, verdicts


@cache
def measured(guarantee: tuple[float, float] | None = (0.9, 0.05)) -> Calibration:
    items, verdicts = labelled()
    return Calibration(
        critic="toy", fingerprint="f", labels="l.jsonl", labels_sha256="0", intent_told=False,
        questions=measure(items, verdicts, guarantee),
    )  # fmt: skip


def test_only_questions_with_labels_are_measured_in_all_and_by_hazard() -> None:
    found = measured(None)
    assert list(found.questions) == ["harm"]
    quality = found.questions["harm"]
    assert (quality.items, quality.undecided, quality.annotators, quality.promise) == (200, 0, 3, None)
    assert (quality.overall.n, quality.overall.accuracy.unscored) == (196, 4)
    assert quality.hazards["violent_crimes"].accuracy.rate == 1.0
    assert quality.hazards["hate"].accuracy.rate < 0.65
    assert quality.alpha is not None
    assert 0.1 < quality.alpha.value < 0.45
    assert found.reliability("violent_crimes") == 1.0
    assert found.reliability("privacy") == quality.overall.accuracy.rate  # no items of its own
    assert found.reliability("hate", "refusal") is None


def test_a_share_is_corrected_towards_what_people_say() -> None:
    items, verdicts = labelled(2000)
    biased = [v and v.model_copy(update={"harm": 0.9 if i % 4 == 0 else v.harm}) for i, v in enumerate(verdicts)]
    correction = measure(items, biased)["harm"].correction
    assert correction.corrected is not None
    assert correction.judged.low > correction.people.rate
    assert correction.corrected.low < correction.people.rate < correction.corrected.high


def test_the_file_comes_back_as_it_was_written_and_anything_else_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "c.json", measured())
    assert load_calibration(tmp_path / "c.json") == measured()
    (tmp_path / "d.json").write_text("{}")
    for name in ("d.json", "none.json"):
        with pytest.raises(PromptFileError, match=f"{name}:1: not a calibration file.*superalign critic calibrate"):
            load_calibration(tmp_path / name)


def test_a_floor_names_every_limit_that_is_broken() -> None:
    found = measured()
    assert below_floor(FloorOptions(kappa=0.5, auroc=0.5, ece=0.5, abstention=0.05), found) == []
    broken = below_floor(FloorOptions(kappa=0.9, recall=0.95, ece=0.01, abstention=0.01, items=500), found)
    assert [words.split()[0] for words in broken] == ["196", "kappa", "recall", "ece", "abstention"]
    assert "is below 0.9" in broken[1]
    assert below_floor(FloorOptions(question="refusal", kappa=0.1), found) == [
        "l.jsonl has no labels for the question refusal"
    ]


def test_a_figure_that_can_not_be_had_is_below_every_floor() -> None:
    items, verdicts = labelled()
    same = [item.model_copy(update={"votes": {"harm": ("harmful",)}}) for item in items]
    questions = measure(same, [v and v.model_copy(update={"harm": 0.9}) for v in verdicts])
    assert below_floor(FloorOptions(kappa=0.0), measured().model_copy(update={"questions": questions})) == [
        "kappa (not measurable) is below 0"
    ]


class Toy:
    """Says the harm that it is told."""

    def __init__(self, harm: float | None) -> None:
        self.harm = harm

    async def critique(self, response: Response) -> Critique:
        verdict = Verdict(
            critic="toy", request_harmful=0.4, refusal="none", harm=self.harm, score=0.2, rationale="Why."
        )
        return Critique(response=response, verdict=verdict)


def response() -> Response:
    seed = Seed(id="s", goal="g", intent="harmful")
    asked = (Message(role="user", content="g"),)
    attack = Attack(id="a", seed=seed, strategy="direct", strategy_sha256="", messages=asked)
    return Response(attack=attack, index=0, generation=Generation(text="r", num_tokens=1))


async def test_a_trusted_critic_scores_where_the_promise_holds_and_abstains_elsewhere() -> None:
    found = measured()
    promised = found.questions["harm"].promise
    assert promised is not None
    assert promised.above is not None
    assert 0.5 < promised.above < 0.8
    sure = (await TrustedCritic(Toy(0.95), found).critique(response())).verdict
    assert sure.score == 0.2
    assert sure.harm is not None
    assert 0.9 < sure.harm <= 1.0
    unsure = (await TrustedCritic(Toy(0.55), found).critique(response())).verdict
    assert unsure.score is None
    assert unsure.rationale.startswith("The critic abstains: its confidence is 0.550, not above 0.")
    assert unsure.rationale.endswith("Why.")
    assert (unsure.request_harmful, unsure.refusal) == (0.4, "none")


async def test_without_a_promise_asked_for_nothing_is_withheld_and_without_one_kept_everything_is() -> None:
    never = measured((0.999, 0.0001))
    assert never.questions["harm"].promise is not None
    for found, score in ((measured(None), 0.2), (never, None)):
        assert (await TrustedCritic(Toy(0.55), found).critique(response())).verdict.score == score
    unjudged = (await TrustedCritic(Toy(None), never).critique(response())).verdict
    assert unjudged.score == 0.2  # the promise is about harm, which this verdict says nothing of


def test_the_alarm_rings_when_the_critic_alone_sees_gain() -> None:
    found = divergence("harmful", wilson(180, 200), wilson(40, 200), wilson(90, 100), wilson(85, 100))
    assert found is not None
    assert found.critic_gain == pytest.approx(0.7)
    assert found.judge_gain == pytest.approx(0.05)
    assert found.gap == pytest.approx(0.65)
    assert found.low < found.gap < found.high
    assert found.alarm


@pytest.mark.parametrize(
    ("critic_now", "judge_now"),
    [(20, 15), (40, 25), (180, 95), (100, 20)],
    ids=["both gain", "a little less held out", "neither gains", "the judge sees more"],
)
def test_the_alarm_stays_silent(critic_now: int, judge_now: int) -> None:
    found = divergence("harmful", wilson(180, 200), wilson(critic_now, 200), wilson(90, 100), wilson(judge_now, 100))
    assert found is not None
    assert not found.alarm


def test_few_items_ring_no_alarm_and_none_give_no_figure() -> None:
    few = divergence("harmful", wilson(5, 6), wilson(2, 6), wilson(5, 6), wilson(5, 6))
    assert few is not None
    assert few.gap > 0.4
    assert not few.alarm
    assert divergence("benign", wilson(5, 6), wilson(0, 0), wilson(5, 6), wilson(5, 6)) is None


def population() -> list[Judged]:
    rng = random.Random(7)
    found = []
    for _ in range(300):
        p = rng.random()
        truth = "harmful" if rng.random() < p else "harmless"
        found.append(Judged(truth=truth, label="harmful" if p >= 0.5 else "harmless", probability=p))
    return found


def test_the_bench_holds_promises_against_the_population() -> None:
    found = promises(population(), 0.85, 0.1, 300, 500)
    assert found.made.rate > 0.5
    assert found.broken.rate <= 0.1
    assert found.agreement >= 0.85
    assert 0.1 < found.coverage < 0.9


def test_asking_about_the_unsure_first_spends_fewer_labels_where_confidence_means_something() -> None:
    items = population()
    informed = spending(items, 0.95, 200)
    assert informed.unsure_first < informed.random
    assert informed.saved_low > 0
    rng = random.Random(8)
    blind = [item.model_copy(update={"probability": rng.random()}) for item in items]
    assert abs(spending(blind, 0.95, 200).saved) < 0.1
