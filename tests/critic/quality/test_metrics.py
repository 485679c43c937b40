"""Figures, against other people's implementations and against brute force."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, precision_score, recall_score, roc_auc_score

from superalign.critic.quality.labelled_replies import LabelledItem
from superalign.critic.quality.metrics import Judged, auroc, ece, figures, heard
from superalign.critic.quality.report import judged_items
from superalign.records.exchange import Verdict
from superalign.stats.agreement import alpha_estimate, cohen_kappa, kappa_estimate

STATES = ("none", "partial", "full")


def judged(n: int = 300, seed: int = 0, hazard: str | None = None) -> list[Judged]:
    """A critic of harm that is right more often than not, and silent on every tenth item."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        harmful = bool(rng.random() < 0.4)
        p = float(np.clip(rng.normal(0.65 if harmful else 0.35, 0.2), 0, 1))
        said = None if i % 10 == 0 else "harmful" if p >= 0.5 else "harmless"
        truth = "harmful" if harmful else "harmless"
        found.append(Judged(truth=truth, label=said, probability=p if said else None, hazard=hazard))
    return found


def test_kappa_is_scikit_learns_for_any_number_of_classes() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        said, truth = rng.choice(STATES, size=(2, 40)).tolist()
        found = kappa_estimate(said, truth, STATES)
        assert found is not None
        assert found.value == pytest.approx(cohen_kappa_score(said, truth))
        assert found.low <= found.value <= found.high


def test_kappa_is_not_defined_where_only_one_label_occurs() -> None:
    assert kappa_estimate(["full"] * 5, ["full"] * 5, STATES) is None
    assert np.isnan(cohen_kappa(np.diag([5, 0, 0])))


def test_kappas_interval_covers_the_population_19_times_in_20() -> None:
    rng = np.random.default_rng(2)
    cells = np.array([[0.35, 0.1], [0.05, 0.5]])
    true = float(cohen_kappa(cells * 1e6))
    covered = 0
    for _ in range(200):
        counts = rng.multinomial(150, cells.ravel()).reshape(2, 2)
        said = [label for a in (0, 1) for b in (0, 1) for label in ["xy"[a]] * counts[a, b]]
        truth = [label for a in (0, 1) for b in (0, 1) for label in ["xy"[b]] * counts[a, b]]
        found = kappa_estimate(said, truth, ("x", "y"))
        assert found is not None
        covered += found.low <= true <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def brute_alpha(units: list[list[str | None]]) -> float:
    """Krippendorff's alpha by going through every pair of values there is."""
    pairable = [[v for v in unit if v is not None] for unit in units]
    pairable = [unit for unit in pairable if len(unit) > 1]
    values = [v for unit in pairable for v in unit]
    observed = sum(sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in pairable) / len(values)
    expected = sum(a != b for a, b in permutations(values, 2)) / (len(values) * (len(values) - 1))
    return 1 - observed / expected


def test_alpha_is_that_of_all_pairs_with_missing_labels_and_several_people() -> None:
    rng = np.random.default_rng(3)
    for people in (2, 3, 5):
        units = [[None if rng.random() < 0.3 else str(rng.choice(STATES)) for _ in range(people)] for _ in range(25)]
        found = alpha_estimate(units, STATES)
        assert found is not None
        assert found.value == pytest.approx(brute_alpha(units))


def test_alpha_of_the_textbook() -> None:
    """Krippendorff 2011, section C: nominal data, four observers, missing data; alpha = 0.743."""
    a, b, c, d = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    rows = [[None if v == "." else v for v in row.split()] for row in (a, b, c, d)]
    found = alpha_estimate(list(zip(*rows, strict=True)), ("1", "2", "3", "4", "5"))
    assert found is not None
    assert found.value == pytest.approx(0.743, abs=5e-4)


def test_alpha_needs_two_labels_of_one_item() -> None:
    assert alpha_estimate([["full", None], [None, "none"]], STATES) is None


def test_figures_are_scikit_learns_over_scored_items_alone() -> None:
    items = judged()
    found = figures(items, "harm")
    scored = [item for item in items if item.label is not None]
    truth, said = [i.truth == "harmful" for i in scored], [i.label == "harmful" for i in scored]
    assert found.n == len(scored) == 270
    assert (found.abstained.rate, found.abstained.n) == (0.1, 300)
    assert found.accuracy.unscored == 30
    assert found.precision.rate == pytest.approx(precision_score(truth, said))
    assert found.recall.rate == pytest.approx(recall_score(truth, said))
    assert found.specificity.rate == pytest.approx(recall_score([not t for t in truth], [not s for s in said]))
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(cohen_kappa_score(truth, said))
    assert found.auroc is not None
    assert found.auroc.value == pytest.approx(roc_auc_score(truth, [i.probability for i in scored]))
    assert found.auroc.low < found.auroc.value < found.auroc.high


def test_area_counts_ties_half_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(4)
    probabilities, actual = rng.choice([0.0, 0.5, 1.0], 80), rng.random(80) < 0.5
    assert auroc(probabilities, actual) == pytest.approx(roc_auc_score(actual, probabilities))
    assert auroc(probabilities, np.ones(80, dtype=bool)) is None


def test_calibration_error_is_the_gap_of_each_bin_by_hand() -> None:
    probabilities = np.array([0.92, 0.94, 0.91, 0.95, 0.15, 0.05, 1.0])
    actual = np.array([True, True, True, False, True, False, True])
    bins = {9: (4.72, 4, 5), 1: (0.15, 1, 1), 0: (0.05, 0, 1)}  # sum of probabilities, positives, items
    expected = sum(abs(p - positives) for p, positives, _ in bins.values()) / 7
    assert ece(probabilities, actual) == pytest.approx(expected)


def test_calibration_error_of_honest_probabilities_is_small_and_of_overconfident_ones_is_not() -> None:
    rng = np.random.default_rng(5)
    honest = rng.random(5000)
    actual = rng.random(5000) < honest
    small, large = ece(honest, actual), ece(np.where(honest > 0.5, 0.99, 0.01), actual)
    assert small is not None
    assert large is not None
    assert small < 0.03 < 0.2 < large


def test_a_critic_that_says_nothing_has_no_figures_and_no_fault() -> None:
    silent = [item.model_copy(update={"label": None, "probability": None}) for item in judged(20)]
    found = figures(silent, "harm")
    assert (found.n, found.kappa, found.auroc, found.ece) == (0, None, None, None)
    assert found.abstained.rate == 1.0


@pytest.mark.parametrize(
    ("question", "expected"),
    [("harm", ("harmless", 0.3)), ("request", ("harmful", 0.9)), ("refusal", ("partial", 0.5))],
)
def test_a_verdict_answers_each_question(question: str, expected: tuple[str, float]) -> None:
    verdict = Verdict(critic="x", request_harmful=0.9, refusal="partial", harm=0.3, score=0.5)
    assert heard(verdict, question) == expected  # type: ignore[arg-type]
    assert heard(None, question) == (None, None)  # type: ignore[arg-type]
    blank = Verdict(critic="x", request_harmful=None, refusal=None, harm=None, score=None)
    assert heard(blank, question) == (None, None)  # type: ignore[arg-type]


def test_a_refusals_probabilities_say_how_sure_the_critic_is() -> None:
    hedged = Verdict(critic="x", request_harmful=0.9, refusal="partial", harm=0.3, score=0.5, refusals=(0.1, 0.6, 0.3))
    assert heard(hedged, "refusal") == ("partial", 0.3)
    item = LabelledItem(id="a", prompt="p", reply="r", goal="g", votes={"refusal": ("full",), "harm": ("harmful",)})
    [refusal], [harm] = (judged_items(question, [item], [hedged]) for question in ("refusal", "harm"))
    assert (refusal.confidence, refusal.agrees) == (0.6, False)
    assert harm.confidence == 0.7
    [graded] = judged_items("refusal", [item], [hedged.model_copy(update={"refusals": None, "refusal": "full"})])
    assert (graded.confidence, graded.agrees) == (1.0, True)


def test_refusals_are_judged_by_three_states() -> None:
    rng = np.random.default_rng(6)
    pairs = [(str(a), str(b)) for a, b in rng.choice(STATES, size=(90, 2))]
    grades = {"none": 0.0, "partial": 0.5, "full": 1.0}
    found = figures([Judged(truth=b, label=a, probability=grades[a]) for a, b in pairs], "refusal")
    assert found.accuracy.rate == sum(a == b for a, b in pairs) / 90
    counts = Counter(pairs)
    full = sum(n for (a, _), n in counts.items() if a == "full")
    assert found.precision.rate == pytest.approx(counts["full", "full"] / full)
