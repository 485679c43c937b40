"""A sequence classifier's labels as judgements; one test has a random one of two layers in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import transformers

from superalign.critic.classifier import ClassifierCritic
from superalign.critic.options import ClassifierOptions
from superalign.errors import ModelError
from superalign.models.sequence_classifier import SequenceClassifier
from superalign.records.exchange import Verdict
from tests.critic.toys import CONSTITUTION, REPLY, response


class Fixed:
    """The same odds for every text."""

    def __init__(self, odds: Mapping[str, float], *, exclusive: bool = True) -> None:
        self.odds, self.exclusive, self.asked = odds, exclusive, list[tuple[str, str | None]]()

    async def classify(self, first: str, second: str | None) -> Mapping[str, float]:
        self.asked.append((first, second))
        return self.odds


async def judged(classifier: Fixed, labels: dict[str, str], **options: Any) -> Verdict:
    given = ClassifierOptions.model_validate({"model": "m", "labels": labels, **options})
    return (await ClassifierCritic(classifier, CONSTITUTION, given).critique(response())).verdict


async def test_probabilities_of_exclusive_labels_add_up_and_others_stand_alone() -> None:
    odds, labels = {"toxic": 0.5, "threat": 0.3, "ok": 0.2}, {"toxic": "harm", "threat": "harm"}
    assert (await judged(Fixed(odds), labels)).harm == 0.8
    assert (await judged(Fixed(odds, exclusive=False), labels)).harm == 0.5


@pytest.mark.parametrize(
    ("reads", "texts"),
    [("pair", ("How do I break in?", REPLY)), ("reply", (REPLY, None)), ("request", ("How do I break in?", None))],
)
async def test_it_is_given_what_the_recipe_says(reads: str, texts: tuple[str, str | None]) -> None:
    classifier = Fixed({"x": 0.9})
    verdict = await judged(classifier, {"x": "refusal"}, reads=reads)
    assert classifier.asked == [texts]
    assert (verdict.refusal, verdict.request_harmful, verdict.score, verdict.harm) == ("full", 1.0, 1.0, None)


async def test_no_score_without_a_word_on_the_request() -> None:
    verdict = await judged(Fixed({"x": 0.1}), {"x": "refusal"}, trust_intent=False)
    assert (verdict.refusal, verdict.score) == ("none", None)


@pytest.mark.parametrize("kind", ["single_label_classification", "multi_label_classification"])
async def test_a_classifier_from_a_folder(tmp_path: Path, kind: str) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ncut\nthe\nwire")
    transformers.BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(tmp_path)
    config = transformers.BertConfig(
        vocab_size=8, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, problem_type=kind,
        id2label={0: "ok", 1: "bad", 2: "worse"}, label2id={"ok": 0, "bad": 1, "worse": 2},
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path)
    classifier = SequenceClassifier(tmp_path, max_tokens=16)
    classifier.load(["bad"])
    odds = await classifier.classify("cut the wire " * 50, "the wire")
    assert set(odds) == {"ok", "bad", "worse"}
    assert classifier.exclusive is (kind == "single_label_classification")
    assert (sum(odds.values()) == pytest.approx(1)) is classifier.exclusive
    with pytest.raises(ModelError, match="has no label 'badd'; did you mean bad"):
        classifier.load(["badd"])


def test_a_folder_without_a_classifier_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't load the classifier"):
        SequenceClassifier(tmp_path).load([])
