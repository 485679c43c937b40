"""Verifiable principles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from pydantic import TypeAdapter, ValidationError

from superalign.critic.checks.critic import fault_of, language_of, pii_in
from superalign.critic.checks.options import Check
from superalign.critic.options import CriticOptions
from superalign.errors import PromptFileError
from superalign.protocols import DropError
from superalign.records.exchange import Verdict
from tests.critic.toys import InTurn, built, response

CHECK: TypeAdapter[Any] = TypeAdapter(Check)
PERSON = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}


def fault(reply: str, *said: str, **check: Any) -> str | None:
    return fault_of(CHECK.validate_python({"id": "c", **check}), reply, said)


@pytest.mark.parametrize(
    ("check", "passes", "fails"),
    [
        ({"kind": "pattern", "must": r"\bsources?:"}, "See source: x", "See x"),
        ({"kind": "pattern", "must_not": "(?i)as an ai"}, "I think so", "As an AI I think so"),
        ({"kind": "length", "min_words": 2, "max_words": 3}, "one two", "one"),
        ({"kind": "length", "max_words": 3}, "", "one two three four"),
        ({"kind": "json_schema", "json_schema": PERSON}, '```json\n{"name": "Jo"}\n```', '{"name": 1}'),
        ({"kind": "json_schema", "json_schema": PERSON}, '{"name": "Jo"}', "Here it is: {}"),
        ({"kind": "pii"}, "Write to help@example.org.", "Write to jo.doe@mail.net."),
        (
            {"kind": "language", "languages": ["en"]},
            "You can do this with the tool that we have on the site.",
            "Das kann man mit dem Werkzeug machen, das wir auf der Seite haben.",
        ),
        ({"kind": "language", "languages": ["de"]}, "OK!", "You can do this with the tool that is on the site."),
    ],
)
def test_each_kind_of_check(check: dict[str, Any], passes: str, fails: str) -> None:
    assert fault(passes, **check) is None
    assert fault(fails, **check)


def test_what_the_user_said_is_no_secret() -> None:
    assert fault("It is jo@mail.net.", "My address is jo@mail.net", kind="pii") is None
    assert fault("It is al@mail.net.", "My address is jo@mail.net", kind="pii")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("card 4111 1111 1111 1111", ["card"]),
        ("card 4111 1111 1111 1112", []),
        ("IBAN DE89 3704 0044 0532 0130 00 please", ["iban"]),
        ("IBAN DE88 3704 0044 0532 0130 00 please", []),
        ("call +49 30 1234 5678 now", ["phone"]),
        ("call 212-867-5309", ["phone"]),
        ("in the year 2024-2025, version 1.2.3, 1000000 people", []),
        ("ssn 219-09-9999", ["ssn"]),
        ("ssn 000-12-3456", []),
        ("host 8.8.8.8", ["ip"]),
        ("host 192.168.0.1 and 300.1.1.1 and v1.2.3.4.5", []),
    ],
)
def test_personal_data_is_known_by_form_and_check_digit(text: str, kinds: list[str]) -> None:
    assert [kind for kind, _ in pii_in(text, ["card", "iban", "phone", "ssn", "ip", "email"])] == kinds


@given(st.text())
def test_any_text_can_be_checked(text: str) -> None:
    language_of(text)
    for kind in ("email", "phone", "iban", "card", "ip", "ssn"):
        assert all(found in text for _, found in pii_in(text, [kind]))  # type: ignore[list-item]


async def judged(
    *checks: dict[str, Any], reply: str = "As an AI, no.", intent: str = "benign", **options: Any
) -> Verdict:
    critic = await built({"type": "checks", "checks": list(checks), **options}, InTurn())
    verdict: Verdict = (await critic.critique(response(reply, intent=intent))).verdict
    return verdict


NO_AI: dict[str, Any] = {"id": "plain", "kind": "pattern", "must_not": "As an AI"}
SHORT: dict[str, Any] = {"id": "short", "kind": "length", "max_words": 9}


async def test_scores_are_a_vector_that_is_combined_as_the_recipe_says() -> None:
    found = await judged(NO_AI, SHORT)
    assert {p.id: p.score for p in found.principles} == {"plain": 0.0, "short": 1.0}
    assert (found.score, found.principle, found.refusal, found.harm) == (0.0, "plain", None, None)
    assert found.rationale == 'plain: "As an AI" matches As an AI'
    assert (await judged(NO_AI, SHORT, combine="weighted_mean")).score == 0.5


async def test_a_check_holds_only_for_its_requests() -> None:
    assert (await judged(NO_AI | {"only": "harmful"}, SHORT)).score == 1.0
    with pytest.raises(DropError, match="no check with a weight applies to a benign request"):
        await judged(NO_AI | {"only": "harmful"})


async def test_a_python_function_is_a_check(tmp_path: Path) -> None:
    own = tmp_path / "rhyme.py"
    body = "def check(self, messages, reply):\n        return 0.25 if 'no' in reply else 'x'\n"
    own.write_text(f"class Rhyme:\n    {body}")
    check = {"id": "rhyme", "kind": "function", "path": str(own)}
    found = await judged(check)
    assert (found.score, found.rationale) == (0.25, "rhyme: rhyme says 0.25")
    with pytest.raises(DropError, match="expected true, false or a number"):
        await judged(check, reply="yes")
    with pytest.raises(PromptFileError, match="neither a .py file"):
        await judged(check | {"path": "nobody"})


@pytest.mark.parametrize(
    ("checks", "reason"),
    [
        ([{"id": "a", "kind": "pattern", "must": "("}], "no regular expression"),
        ([{"id": "a", "kind": "pattern"}], "neither must nor must_not"),
        ([{"id": "a", "kind": "length", "min_words": 3, "max_words": 2}], "is over max_words"),
        ([{"id": "a", "kind": "json_schema", "json_schema": {"type": "objekt"}}], "no JSON schema"),
        ([NO_AI, NO_AI], "plain is given twice"),
    ],
)
def test_a_check_that_cannot_be_made_is_a_fault_of_the_recipe(checks: list[dict[str, Any]], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(CriticOptions).validate_python({"type": "checks", "checks": checks})
