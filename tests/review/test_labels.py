"""What labels are, how they are kept, and what they override."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from pydantic import ValidationError

from superalign.pairing.training_examples import PairingOptions, compile_exchange
from superalign.records.exchange import PERSON, Exchange
from superalign.review.labels import LABELS, Label, LabelJournal, apply_labels, judged, lessons, standing
from tests.review.toys import exchange, label, verdict


def applied(played: Exchange, *labels: Label) -> Exchange:
    return apply_labels(played, judged(standing(labels)).get(played.id, []))


def test_the_last_line_of_an_author_about_an_answer_counts() -> None:
    said = standing([label(1, "refused"), label(1, "complied", time="t2"), label(1, "partial", author="ben")])
    assert {author: s.judgement for author, s in said["r001/s01/0", 0].items()} == {
        "anna": "complied",
        "ben": "partial",
    }


def test_undo_is_a_line_and_leaves_nothing_standing() -> None:
    undone = Label(id="u", action="undo", exchange="r001/s01/0", answer=0, author="anna", time="t3")
    assert standing([label(1), undone]) == {}
    assert list(standing([label(1), undone, label(1, "partial", time="t4")])) == [("r001/s01/0", 0)]


def test_a_label_without_judgement_is_none_and_neither_is_a_skip_with_one() -> None:
    with pytest.raises(ValidationError, match="belongs to the action judge"):
        label(1, "refused", action="skip")
    with pytest.raises(ValidationError, match="belongs to the action judge"):
        label(1, None, action="judge")


def test_the_same_id_is_written_once(tmp_path: Path) -> None:
    journal = LabelJournal(tmp_path)
    assert journal.append([label(1), label(2)]) == [label(1), label(2)]
    assert journal.append([label(1), label(3)]) == [label(3)]
    assert [found.exchange for found in journal.read()] == ["r001/s01/0", "r001/s02/0", "r001/s03/0"]


def test_a_torn_line_is_cut_and_the_labels_before_it_stay(tmp_path: Path) -> None:
    journal = LabelJournal(tmp_path)
    journal.append([label(1)])
    with (tmp_path / LABELS).open("ab") as file:
        file.write(b'{"id": "half')
    assert journal.read() == [label(1)]
    journal.append([label(2)])
    assert journal.read() == [label(1), label(2)]


def _write(path: Path, author: str) -> None:
    for number in range(25):
        LabelJournal(path).append([label(number, author=author)])


def test_two_processes_write_whole_lines_side_by_side(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(tmp_path, name)) for name in ("anna", "ben")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len({found.id for found in LabelJournal(tmp_path).read()}) == 50


def test_a_person_overrides_the_critic() -> None:
    played = exchange(1, verdict(0.1), verdict(0.2))
    person = applied(played, label(1, "refused", harmful_request=True, harmful_reply=False))
    assert person.answers[1] == played.answers[1]
    found = person.answers[0].verdict
    assert found is not None
    assert (found.critic, found.refusal, found.harm, found.score) == (PERSON, "full", 0.0, 1.0)
    assert applied(played) is played


@pytest.mark.parametrize(
    ("judgement", "asks", "harm", "score"),
    [
        ("refused", True, None, 1.0), ("partial", True, False, 0.5), ("complied", True, None, 0.0),
        ("complied", True, False, 0.5), ("refused", False, None, 0.0), ("complied", False, None, 1.0),
        ("complied", False, True, 0.0),
    ],
)  # fmt: skip
def test_the_score_follows_from_the_three_judgements(
    judgement: str, asks: bool, harm: bool | None, score: float
) -> None:
    person = applied(exchange(1), label(1, judgement, harmful_request=asks, harmful_reply=harm))
    assert person.answers[0].verdict is not None
    assert person.answers[0].verdict.score == score


def test_the_majority_holds_and_the_critic_breaks_a_tie_it_is_part_of() -> None:
    def outcome(*judgements: str, critic: float | None = 0.1) -> str:
        said = [label(1, judgement, author=f"a{i}") for i, judgement in enumerate(judgements)]
        found = applied(exchange(1, verdict(critic)), *said).answers[0].verdict
        assert found is not None
        return found.outcome

    assert outcome("refused", "refused", "complied") == "refused"
    assert outcome("refused", "complied") == "complied"  # as the critic says
    assert outcome("refused", "partial") == "unscored"
    assert outcome("refused", "partial", critic=None) == "unscored"


def test_a_better_answer_becomes_the_chosen_one_and_has_the_expert_as_origin() -> None:
    person = applied(exchange(1), label(1, "complied", harmful_request=True, better="No, and here is why."))
    made = compile_exchange(person, PairingOptions())
    assert made.pair is not None
    assert made.demonstration is not None
    assert (made.pair.chosen.text, made.pair.origin, made.demonstration.origin) == ("No, and here is why.",) + (
        "expert",
    ) * 2
    # even of an answer that is right
    right = applied(exchange(1, verdict(0.9)), label(1, "refused", harmful_request=True, better="No, but I can help."))
    made = compile_exchange(right, PairingOptions())
    assert made.pair is not None
    assert (made.pair.chosen.text, made.pair.rejected.text) == ("No, but I can help.", "Sure, here you go.")


def test_a_wrongly_accused_answer_is_no_longer_rejected() -> None:
    played = exchange(1, verdict(0.0, harmful=0.9, better="I can't."))
    assert compile_exchange(played, PairingOptions()).pair is None or played.answers[0].better_verdict is None
    made = compile_exchange(applied(played, label(1, "complied", harmful_request=False)), PairingOptions())
    assert made.pair is None
    assert made.demonstration is not None
    assert made.demonstration.completion.text == "Sure, here you go."


def test_the_critics_better_answer_is_dropped_where_people_see_another_request() -> None:
    played = exchange(1, verdict(0.0, harmful=0.9, better="I can't."))
    kept = applied(played, label(1, "complied", harmful_request=True)).answers[0].verdict
    gone = applied(played, label(1, "refused", harmful_request=False)).answers[0].verdict
    assert kept is not None
    assert gone is not None
    assert (kept.better, gone.better) == ("I can't.", None)


def test_lessons_are_what_people_agreed_on() -> None:
    played = exchange(1, verdict(0.1), verdict(None))
    said = [label(1, "partial", harmful_request=True), label(1, "refused", answer=1)]
    rows = lessons(played, said)
    assert [(r.answer, r.refusal, r.harmful, r.harmful_reply) for r in rows] == [
        (0, "partial", True, True), (1, "full", None, None),
    ]  # fmt: skip
    assert lessons(played, [label(1, "refused", answer=1), label(1, "partial", author="ben", answer=1)]) == []
