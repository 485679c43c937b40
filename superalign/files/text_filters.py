"""Texts in disguise: pure functions of a text, which every template may use as filters.

None needs a model, equal texts give equal results, and no result is more than forty times as long as its text.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import random
import re
import string
import unicodedata
from collections.abc import Callable
from typing import Any

STOPWORDS = frozenset(
    "a am an as at be been but by do for from get had has have he her his how i if in into is it its make me my no not "
    "of on one onto or our she so that the their them they this to up us use using was we were what when where which "
    "who why will with without you your about all and any are can could should some would did does".split()
)
_LOWER, _UPPER = string.ascii_lowercase, string.ascii_uppercase
_MORSE = dict(
    zip(
        "abcdefghijklmnopqrstuvwxyz0123456789.,?!'\"/:;=+-@()",
        ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
        "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----. .-.-.- --..-- ..--.. -.-.-- .----. .-..-. -..-. "
        "---... -.-.-. -...- .-.-. -....- .--.-. -.--. -.--.-".split(),
        strict=True,
    )
)
_NATO = {
    word[0].lower(): word
    for word in "Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November Oscar Papa "
    "Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu".split()
}
_BRAILLE = str.maketrans(_LOWER, "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵")
_ATBASH = str.maketrans(_LOWER + _UPPER, _LOWER[::-1] + _UPPER[::-1])
_LEET = str.maketrans("aeiostAEIOST", "431057431057")
_FULLWIDTH = str.maketrans({" ": "\u3000"} | {chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
_CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
_ONSET = re.compile(r"([^aeiouy]*qu|y?[^aeiouy]*)(.*)", re.IGNORECASE)


def base64_(text: str) -> str:
    """Base64 of the UTF-8 bytes (RFC 4648 section 4)."""
    return base64.b64encode(text.encode()).decode()


def hex_(text: str) -> str:
    """Two digits a UTF-8 byte."""
    return text.encode().hex()


def binary(text: str) -> str:
    """Eight digits a UTF-8 byte, bytes divided by spaces."""
    return " ".join(f"{byte:08b}" for byte in text.encode())


def url(text: str) -> str:
    """Every UTF-8 byte percent-encoded (RFC 3986 section 2.1), the letters as well."""
    return "".join(f"%{byte:02X}" for byte in text.encode())


def rot13(text: str) -> str:
    """Each of the 26 letters 13 places on."""
    return codecs.encode(text, "rot13")


def atbash(text: str) -> str:
    """The alphabet turned round: a for z."""
    return text.translate(_ATBASH)


def leet(text: str) -> str:
    """Digits for the letters they look like."""
    return text.translate(_LEET)


def morse(text: str) -> str:
    """International Morse code (ITU-R M.1677-1); words divided by `/`, what has no code is left out."""
    words = (" ".join(_MORSE[char] for char in word if char in _MORSE) for word in _plain(text).split())
    return " / ".join(word for word in words if word)


def nato(text: str) -> str:
    """The spelling alphabet's word for each letter; words divided by `/`."""
    return " / ".join(" ".join(_NATO.get(char, char) for char in word) for word in _plain(text).split())


def braille(text: str) -> str:
    """Uncontracted braille for the 26 letters, in small letters; what is no letter stays."""
    return _plain(text).translate(_BRAILLE)


def fullwidth(text: str) -> str:
    """The wide forms of ASCII (U+FF01 and on)."""
    return text.translate(_FULLWIDTH)


def homoglyphs(text: str) -> str:
    """Cyrillic letters for the Latin ones they look like."""
    return text.translate(_CYRILLIC)


def reversed_(text: str) -> str:
    """Last character first."""
    return text[::-1]


def reversed_words(text: str) -> str:
    """Last word first."""
    return " ".join(text.split()[::-1])


def spaced(text: str) -> str:
    """A space after each character, so three of them between words."""
    return " ".join(" ".join(text.split()))


def mixed_case(text: str) -> str:
    """Small and capital letters in turn."""
    letters, out = 0, []
    for char in text:
        out.append(char.upper() if letters % 2 else char.lower())
        letters += char.isalpha()
    return "".join(out)


def pig_latin(text: str) -> str:
    """The consonants before a word's first vowel behind it, then `ay`; `way` where there are none."""
    return re.sub(r"[A-Za-z]+", lambda word: _pig(word[0].lower()), text)


def _pig(word: str) -> str:
    onset, rest = match.groups() if (match := _ONSET.fullmatch(word)) else ("", word)
    return rest + (onset or "w") + "ay"


def disemvowel(text: str) -> str:
    """Without vowels; words of nothing else stay."""
    return " ".join(re.sub("[aeiou]", "", word, flags=re.IGNORECASE) or word for word in text.split())


def typos(text: str) -> str:
    """Every third word misspelt, one at least: two letters inside it changed places, or one is missing or doubled."""
    dice = random.Random(hashlib.sha256(text.encode()).digest())
    words = text.split()
    long = [place for place, word in enumerate(words) if re.match(r"\w{4}", word)]
    for place in sorted(dice.sample(long, k=min(len(long), max(1, len(words) // 3)))):
        word = words[place]
        pairs = [i for i in range(1, len(word) - 2) if word[i].isalpha() and word[i + 1].isalpha()] or [1]
        at = dice.choice(pairs)
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        others = (word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:])
        words[place] = dice.choice([*others, swapped] if swapped != word else others)
    return " ".join(words)


def keywords(text: str) -> str:
    """The words that carry the content, in their order."""
    return " ".join(w for w in re.findall(r"\w[\w'’-]*", text) if w.lower() not in STOPWORDS) or text.strip()


def part(text: str, number: int, of: int) -> str:
    """The part of that number, counted from 1, when the words are divided into `of` parts; raises ValueError."""
    if not 1 <= number <= of <= 9:
        raise ValueError(f"part({number}, {of}): the number is between 1 and the count, and the count at most 9")
    words = text.split()
    return " ".join(words[len(words) * (number - 1) // of : len(words) * number // of])


def plain_words(text: str) -> str:
    """Lower case, letters and digits only, single spaces: equal for texts that say the same words."""
    return " ".join(re.findall(r"[^\W_]+", text.lower()))


def _plain(text: str) -> str:
    """Small letters without accents."""
    return "".join(char for char in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(char))


def _of_text(function: Callable[..., str]) -> Callable[..., str]:
    def filter(text: Any, *arguments: Any) -> str:
        if not isinstance(text, str):
            raise TypeError(f"the filter {function.__name__.rstrip('_')} takes a text, not {type(text).__name__}")
        return function(text, *arguments)

    return filter


FILTERS: dict[str, Callable[..., str]] = {
    function.__name__.rstrip("_"): _of_text(function)
    for function in (
        base64_, hex_, binary, url, rot13, atbash, leet, morse, nato, braille, fullwidth, homoglyphs, reversed_,
        reversed_words, spaced, mixed_case, pig_latin, disemvowel, typos, keywords, part,
    )
}  # fmt: skip
"""By the name that templates use; each raises TypeError for what is no text."""
