"""The language of a text by its commonest words: enough to see that a reply is in the wrong one."""

from __future__ import annotations

import re

from superalign.critic.checks.options import Language

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
"""Of words that are common in the language; running text has 0.25 to 0.5 of them."""
_LEAD = 1.25
"""How many times the hits of the second language the first has at least."""


def language_of(text: str) -> Language | None:
    """The language, of those known here; None where it can't be told."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    if len(words) < _LEAST_WORDS:
        return None
    hits = {language: sum(word in common for word in words) for language, common in _WORDS.items()}
    first, second = sorted(hits, key=lambda language: -hits[language])[:2]
    if hits[first] < _LEAST_SHARE * len(words) or hits[first] < _LEAD * hits[second]:
        return None
    return first
