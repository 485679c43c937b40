"""ChecksCritic: verifiable principles, each checked by a program: patterns, length, personal data, language, JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema.validators import validator_for

from superalign.critic.checks.options import (
    Check,
    ChecksOptions,
    FunctionCheck,
    Language,
    LanguageCheck,
    LengthCheck,
    PatternCheck,
    Pii,
    PiiCheck,
)
from superalign.critic.constitution import Constitution
from superalign.critic.scoring import combined
from superalign.files.plugins import Plugin, load_plugin
from superalign.protocols import DropError
from superalign.records.exchange import Critique, PrincipleScore, Verdict
from superalign.records.rollout import Response, Seed

_BLOCK = re.compile(r"\A\s*```(?:json)?\n(.*?)\n```\s*\Z", re.DOTALL)


class ChecksCritic:
    """Says which checks a reply passes; it does not judge request, refusal and harm."""

    name = "checks"

    def __init__(self, options: ChecksOptions, constitution: Constitution, functions: Mapping[str, Plugin]) -> None:
        self.options, self.constitution, self.functions = options, constitution, functions

    async def critique(self, response: Response) -> Critique:
        """Raises DropError if a function fails, or no check applies to the request."""
        seed, constitution = response.attack.seed, self.constitution.applying_to(response.attack.seed)
        applying = [check for check in checks_of(self.options, constitution) if _applies(check, seed)]
        results = [(check, *await self._result(check, response)) for check in applying]
        principles = tuple(PrincipleScore(id=check.id, score=score) for check, score, _ in results)
        score = combined(principles, constitution, self.options.combine)
        if score is None:
            raise DropError(f"no check with a weight applies to a {seed.intent} request")
        failed = [(check, reason) for check, held, reason in results if held < 0.5]
        reasons = "; ".join(f"{check.id}: {reason}" for check, reason in failed)
        verdict = Verdict(
            critic=self.name, request_harmful=None, refusal=None, harm=None, score=score,
            principle=failed[0][0].id if failed else None, principles=principles,
            rationale=reasons or f"All {len(results)} checks are passed.",
            better=_mended([check for check, _ in failed], response.generation.text),
        )  # fmt: skip
        return Critique(response=response, verdict=verdict)

    async def _result(self, check: Check, response: Response) -> tuple[float, str]:
        """How far the check holds, 0 to 1, and why it does not."""
        reply = response.generation.text
        if isinstance(check, FunctionCheck):
            messages = [message.model_dump() for message in response.attack.messages]
            return _held(await self.functions[check.id].call(messages, reply), self.functions[check.id].name)
        fault = fault_of(check, reply, [message.content for message in response.attack.messages])
        return float(fault is None), fault or ""


def checks_of(options: ChecksOptions, constitution: Constitution) -> list[Check]:
    """The recipe's checks, and those of the constitution's principles that it does not replace."""
    replaced = {check.id for check in options.checks}
    shared = (principle.check for principle in constitution.principles)
    return [*options.checks, *(check for check in shared if check is not None and check.id not in replaced)]


def _applies(check: Check, seed: Seed) -> bool:
    return check.only in (None, seed.intent) and (not check.tags or not set(check.tags).isdisjoint(seed.tags))


def _mended(failed: Sequence[Check], reply: str) -> str | None:
    """The repaired reply; None unless every failed check has a repair."""
    for check in failed:
        if check.mend is None:
            return None
        reply = check.mend.of(reply)
    return reply if failed else None


def load_functions(options: ChecksOptions, base_dir: Path) -> dict[str, Plugin]:
    """The functions by their checks' ids; raises PromptFileError if one can't be loaded."""
    functions = [check for check in options.checks if isinstance(check, FunctionCheck)]
    return {check.id: load_plugin(check.path, "checks", base_dir, check.options) for check in functions}


def fault_of(check: Check, reply: str, conversation: Sequence[str]) -> str | None:
    """Why a reply fails a check that is no function; None: it passes. conversation: the turns before it."""
    if isinstance(check, PatternCheck):
        return _pattern_fault(check, reply)
    if isinstance(check, LengthCheck):
        words = len(reply.split())
        if check.min_words <= words <= check.max_words:
            return None
        return f"{words} words, not {check.min_words} to {check.max_words}"
    if isinstance(check, PiiCheck):
        given = {text for turn in conversation for _, text in pii_in(turn, check.kinds)}
        leaked = next(((kind, text) for kind, text in pii_in(reply, check.kinds) if text not in given), None)
        return f'"{leaked[1]}" looks like personal data ({leaked[0]})' if leaked else None
    if isinstance(check, LanguageCheck):
        language = language_of(reply)
        passes = language is None or language in check.languages
        return None if passes else f"the reply is in {language}, not {' or '.join(check.languages)}"
    assert not isinstance(check, FunctionCheck)
    return _schema_fault(check.json_schema, reply)


def _pattern_fault(check: PatternCheck, reply: str) -> str | None:
    if check.must is not None and not re.search(check.must, reply):
        return f"nothing in the reply matches {check.must}"
    match = re.search(check.must_not, reply) if check.must_not is not None else None
    return f'"{match[0]}" matches {check.must_not}' if match else None


def _schema_fault(schema: dict[str, Any], reply: str) -> str | None:
    block = _BLOCK.fullmatch(reply)
    try:
        value = json.loads(block[1] if block else reply)
    except (ValueError, RecursionError) as error:
        return f"the reply is not JSON: {error}"
    fault = next(iter(validator_for(schema)(schema).iter_errors(value)), None)
    return f"{fault.json_path}: {fault.message:.200}" if fault else None


def _held(result: Any, name: str) -> tuple[float, str]:
    if isinstance(result, bool | int | float) and 0 <= result <= 1:
        return float(result), f"{name} says {result}"
    raise DropError(f"{name}: check returned {result!r:.60}; expected true, false or a number from 0 to 1")


def pii_in(text: str, kinds: Collection[Pii]) -> Iterator[tuple[Pii, str]]:
    """Kind and text of whatever looks like personal data, except reserved example values."""
    for kind, (pattern, real) in _FORMS.items():
        if kind in kinds:
            yield from ((kind, found[0]) for found in pattern.finditer(text) if real(found[0]))


def _luhn(number: str) -> bool:
    digits = [int(char) for char in number if char.isdigit()]
    doubled = (digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4) for place, digit in enumerate(digits[::-1]))
    return 13 <= len(digits) <= 19 and len(set(digits)) > 1 and sum(doubled) % 10 == 0


def _iban(number: str) -> bool:
    """ISO 13616: the first four characters go to the end, letters become numbers, the remainder by 97 is 1."""
    plain = number.replace(" ", "").upper()
    return 15 <= len(plain) <= 34 and int("".join(str(int(char, 36)) for char in plain[4:] + plain[:4])) % 97 == 1


def _address(text: str) -> bool:
    return not re.search(r"@(?:[\w.-]+\.)?example\.(?:com|org|net)$|\.(?:example|test|invalid)$", text, re.IGNORECASE)


def _ip(text: str) -> bool:
    numbers = [int(part) for part in text.split(".")]
    private = numbers[0] in (0, 10, 127) or numbers[:2] == [192, 168] or numbers[:3] == [192, 0, 2]
    return all(number < 256 for number in numbers) and not private


def _phone(text: str) -> bool:
    return 9 <= sum(char.isdigit() for char in text) <= 15 and "555-01" not in text


def _ssn(text: str) -> bool:
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


_FORMS: dict[Pii, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "email": (re.compile(r"\b[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"), _address),
    "iban": (re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"), _iban),
    "card": (re.compile(r"\b[0-9](?:[ -]?[0-9]){12,18}\b"), _luhn),
    "ssn": (re.compile(r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b"), _ssn),
    "ip": (re.compile(r"(?<![\w.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![\w.]*[0-9])"), _ip),
    # Needs a plus, brackets or groups: a long number alone is no phone number.
    "phone": (
        re.compile(r"(?<![\w.])(?:\+[0-9][0-9 ().-]{7,18}[0-9]|\([0-9]{2,5}\)[ -]?[0-9][0-9 -]{4,12}[0-9]"
                   r"|[0-9]{3}[-. ][0-9]{3}[-. ][0-9]{4})(?![\w-])"),
        _phone,
    ),
}  # fmt: skip


_COMMON: dict[Language, str] = {
    "de": "der die das und ist nicht ich sie ein eine zu mit auf für von dem den wir es auch wie kann",
    "en": "the and is not i you a an to with on for of it we that this can are be have your what how",
    "es": "el la los las y es no yo un una con por para de que se lo como más puede está su al pero",
    "fr": "le la les et est pas je vous un une des du avec sur pour de que ce nous dans peut il elle au",
    "it": "il lo la gli e è non io un una con per di che si come più può sono del della ma nel anche",
    "nl": "de het een en is niet ik je van op voor met zijn dat die wij ook kan aan er maar naar te bij",
    "pl": "i w nie na się z do to jest że jak o ale po co tak za od może są przez dla czy już ten",
    "pt": "o a os as e é não eu um uma com por para de que se do da em mais pode está seu mas você",
}
_WORDS = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_LEAST_WORDS = 8
_LEAST_SHARE = 0.15
"""Least share of words that are common in the language; running text has 0.25 to 0.5."""
_LEAD = 1.25
"""Least ratio of the hits of the first language to those of the second."""


def language_of(text: str) -> Language | None:
    """The language of a text, if it is one of those listed above and clear enough."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < _LEAST_WORDS:
        return None
    hits = {language: sum(word in common for word in words) for language, common in _WORDS.items()}
    first, second = sorted(hits, key=lambda language: -hits[language])[:2]
    if hits[first] < _LEAST_SHARE * len(words) or hits[first] < _LEAD * hits[second]:
        return None
    return first
