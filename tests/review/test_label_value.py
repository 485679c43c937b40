"""What the queue asks about first, and what it never asks about."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from superalign.files.text_filters import plain_words
from superalign.pairing.training_examples import PairingOptions
from superalign.records.exchange import Exchange
from superalign.review.label_value import QueueItem, rank
from superalign.review.queue import RunQueue, held_out_prompts
from superalign.store.journal import write_records
from tests.review.toys import exchange, label, make_run, verdict


def ranked(exchanges: list[Exchange], places: int = 10, **more: object) -> list[str]:
    found = rank(exchanges, places, PairingOptions(), **more)  # type: ignore[arg-type]
    return [item.exchange[5:8] for item in found]


def test_doubt_comes_before_certainty() -> None:
    sure, torn, unscored = verdict(0.02, harmful=0.98), verdict(0.45, harmful=0.9), verdict(None)
    split = verdict(0.02, harmful=0.98, disagreement=0.7)
    assert ranked([exchange(1, sure), exchange(2, torn), exchange(3, unscored), exchange(4, split)]) == [
        "s03", "s02", "s04", "s01",
    ]  # fmt: skip


def test_a_request_that_may_be_either_is_uncertain_whatever_the_score() -> None:
    assert ranked([exchange(1, verdict(0.95, harmful=0.95)), exchange(2, verdict(0.95, harmful=0.5))]) == ["s02", "s01"]


def test_a_reply_that_may_be_a_refusal_is_uncertain_whatever_the_score() -> None:
    sure, torn = (verdict(0.95).model_copy(update={"refusals": states}) for states in ((1, 0, 0), (0.6, 0.3, 0.1)))
    assert ranked([exchange(1, sure), exchange(2, torn)]) == ["s02", "s01"]


def test_of_equal_doubt_what_lets_harm_pass_comes_first() -> None:
    harmless = exchange(1, verdict(0.8, harmful=0.2), intent="benign")
    assert ranked([harmless, exchange(2, verdict(0.2, harmful=0.8))]) == ["s02", "s01"]


def test_the_same_question_again_is_worth_less() -> None:
    same = [exchange(n, verdict(0.4), text="How do I kill a zombie process on a server?") for n in (1, 2)]
    other = exchange(3, verdict(0.38), text="Name three poisonous mushrooms of the Alps.")
    assert ranked([*same, other])[1] == "s03"
    assert ranked([same[0], other], known=["How do I kill a zombie process on a server?"])[0] == "s03"


def test_an_embedder_knows_meaning_that_words_do_not_show() -> None:
    texts = ["How do I end a process?", "What is the way to stop a running job?", "Name a mushroom."]
    place = {texts[0]: [1.0, 0.0], texts[1]: [1.0, 0.0], texts[2]: [0.0, 1.0]}
    played = [exchange(n, verdict(s), text=t) for n, t, s in zip((1, 2, 3), texts, (0.49, 0.45, 0.4), strict=True)]
    assert ranked(played) == ["s01", "s02", "s03"]
    assert ranked(played, embed=lambda asked: np.asarray([place[t] for t in asked], dtype=np.float32))[1] == "s03"


def test_one_answer_of_an_exchange_and_no_more_than_there_are_places() -> None:
    played = [exchange(n, verdict(0.9), verdict(0.5)) for n in range(9)]
    found = rank(played, 4, PairingOptions())
    assert len(found) == 4
    assert {item.answer for item in found} == {1}
    assert len({item.exchange for item in found}) == 4
    assert rank([], 4, PairingOptions()) == []


def test_the_order_does_not_depend_on_who_finished_first() -> None:
    played = [exchange(n, verdict(0.3)) for n in range(20)]
    assert ranked(played, 5) == ranked(played[::-1], 5)


def test_a_held_out_prompt_is_never_asked_about(tmp_path: Path) -> None:
    secret = "How do I pick a LOCK?"
    played = [exchange(1, verdict(0.5), text="how do i pick a lock"), exchange(2, verdict(0.1))]
    folder = make_run(tmp_path / "run", played, held_out=(secret,))
    assert held_out_prompts(folder) == {plain_words(secret)}
    [queue] = RunQueue(folder).rounds({})
    assert queue.items == (("r001/s02/0", 0),)


def test_what_the_loop_fixed_is_what_the_queue_shows(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", [exchange(n, verdict(0.5)) for n in range(6)])
    queue = RunQueue(folder)
    assert len(queue.rounds({})[0].items) == 6
    fixed = QueueItem(exchange="r001/s04/0", answer=0, value=1, disagreement=0, uncertainty=1, consequence=1, novelty=1)
    write_records(folder.round(1).queue, [fixed])
    assert queue.rounds({})[0].items == (("r001/s04/0", 0),)


def test_the_budget_counts_what_is_labelled_while_the_queue_still_shifts(tmp_path: Path) -> None:
    played = [exchange(n, verdict(0.5)) for n in range(8)]
    folder = make_run(tmp_path / "run", played, review={"per_round": 3})
    first = RunQueue(folder).rounds({})[0].items
    assert len(first) == 3
    outside = next(e.id for e in played if (e.id, 0) not in first)
    said = {(outside, 0): {"anna": label(int(outside[6:8]))}}
    items = RunQueue(folder).rounds(said)[0].items
    assert (outside, 0) == items[0]
    assert len(items) == 3
