import random

import pytest

from superalign.errors import TrainingError
from superalign.records.training import Target
from superalign.training.batch_order import order
from superalign.training.options import SftOptions
from superalign.training.preflight import encode_demonstrations, encode_pairs
from tests.training.toys import TEMPLATE, demonstrations, make_tokenizer, pairs

END = frozenset({3})


def test_prompt_is_a_prefix_and_complete_answers_end(tokenizer):
    rows, report = encode_demonstrations(demonstrations(), tokenizer, END, 256)
    assert report.kept == 24
    assert report.faults == {}
    for example, row in zip(demonstrations(), rows, strict=True):
        assert (row.completion[-1] == 3) is example.completion.complete
        assert row.completion.count(3) <= 1
        assert tokenizer.decode(row.prompt).endswith("assistant")


def test_newline_after_the_end_token_is_not_trained():
    tokenizer = make_tokenizer(TEMPLATE.replace("<|im_end|> {% endfor", "<|im_end|>\n{% endfor"))
    rows, _ = encode_demonstrations(demonstrations(), tokenizer, END, 256)
    assert all(row.completion[-1] == 3 for row in rows if row.id not in {f"d{i}" for i in range(0, 24, 3)})


def test_template_that_breaks_the_prefix():
    broken = make_tokenizer(TEMPLATE.replace(" assistant {% endif", " assistant think {% endif"))
    with pytest.raises(TrainingError, match=r"24 of 24 demonstrations.*24 x the prompt is no token prefix"):
        encode_demonstrations(demonstrations(), broken, END, 256)
    with pytest.raises(TrainingError, match="chat template that renders a prompt the same way"):
        encode_pairs(pairs(), broken, END, 256)


def test_template_without_an_end_token():
    endless = make_tokenizer(TEMPLATE.replace(" <|im_end|> ", " "))
    with pytest.raises(TrainingError, match=r"24 x the template puts no end token"):
        encode_demonstrations(demonstrations(), endless, END, 256)


def test_all_faults_are_told_at_once():
    rows = demonstrations()
    rows[0] = rows[0].model_copy(update={"completion": Target(text="  ")})
    rows[1] = rows[1].model_copy(update={"completion": Target(text="yes <|im_end|> no")})
    rows[2] = rows[2].model_copy(update={"completion": Target(text="cat " * 300)})
    with pytest.raises(TrainingError) as caught:
        encode_demonstrations(rows, make_tokenizer(), END, 256)
    for words in ("1 x the completion is empty (first: d0)", "1 x an end token stands inside", "1 x longer than"):
        assert words in str(caught.value)


def test_long_and_equal_rows_are_dropped_and_counted(tokenizer):
    rows = pairs()
    rows[3] = rows[3].model_copy(update={"chosen": rows[3].rejected})
    rows[4] = rows[4].model_copy(update={"chosen": Target(text="cat " * 300)})
    kept, report = encode_pairs(rows, tokenizer, END, 256)
    assert (len(kept), report.faults) == (22, {"equal": 1, "over_length": 1})
    assert {drop.record_id for drop in report.dropped} == {"p3", "p4"}
    with pytest.raises(TrainingError, match="raise training max_length"):
        encode_pairs(rows, tokenizer, END, 256, max_dropped=0.05)


def test_sampler_log_probabilities_count_only_for_the_same_tokens(tokenizer):
    row = pairs(2)[1]
    length = len(row.chosen.text.split()) + 1
    same = row.model_copy(update={"chosen": row.chosen.model_copy(update={"ref_logprob": -7.0, "ref_tokens": length})})
    other = row.model_copy(update={"chosen": row.chosen.model_copy(update={"ref_logprob": -7.0, "ref_tokens": 99})})
    (first, second), _ = encode_pairs([same, other], tokenizer, END, 256)
    assert (first.ref_chosen, second.ref_chosen) == (-7.0, None)


def test_order_covers_each_epoch_and_groups_lengths():
    lengths = [random.Random(i).randint(1, 100) for i in range(64)]
    once = order(lengths, SftOptions(batch_size=8), seed=1)
    assert sorted(once) == list(range(64))
    assert once == order(lengths, SftOptions(batch_size=8), seed=1)
    assert once != order(lengths, SftOptions(batch_size=8), seed=2)

    def padding(indices):
        batches = [indices[at : at + 8] for at in range(0, len(indices), 8)]
        return sum(8 * max(lengths[i] for i in batch) - sum(lengths[i] for i in batch) for batch in batches)

    assert padding(once) < padding(order(lengths, SftOptions(batch_size=8, length_grouped=False), seed=1)) / 2


def test_order_fills_the_steps_asked_for():
    assert len(order([1] * 5, SftOptions(batch_size=4, gradient_accumulation=2, max_steps=7), 0)) == 56
    assert len(order([1] * 10, SftOptions(batch_size=4, epochs=2.5), 0)) == 28
