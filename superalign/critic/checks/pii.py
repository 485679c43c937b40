"""Personal data in a text, by form and where there is one by check digit."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator

from superalign.critic.checks.options import Pii


def pii_in(text: str, kinds: Collection[Pii]) -> Iterator[tuple[Pii, str]]:
    """Kind and wording of whatever looks like personal data; documentation's own examples are none."""
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
    # With a sign of being a phone number, a plus or brackets or groups; a mere long number is none.
    "phone": (
        re.compile(r"(?<![\w.])(?:\+[0-9][0-9 ().-]{7,18}[0-9]|\([0-9]{2,5}\)[ -]?[0-9][0-9 -]{4,12}[0-9]"
                   r"|[0-9]{3}[-. ][0-9]{3}[-. ][0-9]{4})(?![\w-])"),
        _phone,
    ),
}  # fmt: skip
