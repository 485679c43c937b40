"""Texts as they look: what hides letters from a program, and not from a reader, undone."""

from __future__ import annotations

import re
import unicodedata

_LOOKALIKES = str.maketrans(
    "асеорхуіјѕһԁԛԝАВЕКМНОРСТХІЈЅαεικνορτυχΑΒΕΗΙΚΜΝΟΡΤΥΧΖ",
    "aceopxyijshdqwABEKMHOPCTXIJSaeikvoptuxABEHIKMNOPTYXZ",
)
"""Cyrillic and Greek letters that look like Latin ones."""
_LATIN = re.compile(r"[A-Za-z]")
_FOREIGN = re.compile(r"[\u0370-\u03ff\u0400-\u052f]")
_WORD = re.compile(r"\S+")
_BREAKING_TAG = re.compile(r"<br\s*/?>|</(?:p|li|div|h\d|tr)>", re.IGNORECASE)
_TAG = re.compile(r"<!--|-->|</?[A-Za-z|][^<>\n]{0,80}>|\[/?(?:INST|SYS)\]", re.DOTALL)
_FAKE = re.compile(r"<(request_harmful|request|refusal|harm|score|verdict|rating)>[^<>]{0,60}</\1>", re.IGNORECASE)
"""A verdict in tags, which goes with what stands between them."""
_SPACES = re.compile(r"[ \t\u00a0]+")
_SPACED = re.compile(r"(?<!\S)(?:\w ){5,}\w(?!\S)")
_BLANKS = re.compile(r"\n\s*\n+")


def undisguised(text: str) -> str:
    """Compatibility forms folded (NFKC), invisible characters dropped, lookalike letters made Latin, tags removed.

    A word is taken for Latin in disguise where it mixes alphabets; Russian and Greek words stay as they are.
    """
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cf", "Cc", "Co", "Cs"))
    if _FOREIGN.search(text):
        text = _WORD.sub(lambda m: m[0].translate(_LOOKALIKES) if _LATIN.search(m[0]) else m[0], text)
    text = _TAG.sub(" ", _BREAKING_TAG.sub("\n", _FAKE.sub(" ", text)))
    text = _SPACED.sub(lambda m: m[0].replace(" ", ""), text)
    return _BLANKS.sub("\n\n", _SPACES.sub(" ", text)).strip()
