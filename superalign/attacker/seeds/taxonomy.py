"""Other people's words for hazards and intents, in ours."""

from __future__ import annotations

from typing import cast

from superalign.files.text_filters import plain_words
from superalign.records.base import HAZARDS, Hazard, Intent

_WORDS = {
    # HarmBench `SemanticCategory` (arXiv 2402.04249); its misinformation and general harm have no counterpart
    "chemical biological": "indiscriminate_weapons",
    "copyright": "intellectual_property",
    "cybercrime intrusion": "nonviolent_crimes",
    "harassment bullying": "hate",
    "illegal": "nonviolent_crimes",
    # JailbreakBench `Category` (arXiv 2404.01318)
    "economic harm": "nonviolent_crimes",
    "expert advice": "specialized_advice",
    "fraud deception": "nonviolent_crimes",
    "harassment discrimination": "hate",
    "malware hacking": "nonviolent_crimes",
    "physical harm": "violent_crimes",
    "sexual adult content": "sexual_content",
    # StrongREJECT `category` (arXiv 2402.10260)
    "hate harassment and discrimination": "hate",
    "illegal goods and services": "nonviolent_crimes",
    "non violent crimes": "nonviolent_crimes",
    "violence": "violent_crimes",
    # PyRIT `harm_categories`
    "bodily injury": "violent_crimes",
    "defamation libel slander": "defamation",
    "discrimination": "hate",
    "harassment": "hate",
    "hate speech": "hate",
    "impersonation identity theft": "nonviolent_crimes",
    "ip copyright loss": "intellectual_property",
    "loss of life": "violent_crimes",
    "malware": "nonviolent_crimes",
    "privacy loss": "privacy",
    "scams": "nonviolent_crimes",
    "self harm": "suicide_self_harm",
    "sexual": "sexual_content",
    "suicide": "suicide_self_harm",
    "violence armed conflict": "violent_crimes",
    # MLCommons AILuminate `hazard` (arXiv 2503.05731)
    "vcr": "violent_crimes", "ncr": "nonviolent_crimes", "src": "sex_related_crimes",
    "cse": "child_sexual_exploitation", "iwp": "indiscriminate_weapons", "ssh": "suicide_self_harm",
    "ipv": "intellectual_property", "dfm": "defamation", "hte": "hate", "prv": "privacy",
    "spc": "specialized_advice", "sxc": "sexual_content",
} | {hazard.replace("_", " "): hazard for hazard in HAZARDS}  # fmt: skip
_INTENTS = {
    "harmful": "harmful", "unsafe": "harmful", "benign": "benign", "safe": "benign", "harmless": "benign",
    # WildJailbreak `data_type` (arXiv 2406.18510)
    "vanilla harmful": "harmful", "adversarial harmful": "harmful",
    "vanilla benign": "benign", "adversarial benign": "benign",
}  # fmt: skip
INTENT_WORDS = tuple(_INTENTS)


def hazard_of(category: str) -> Hazard | None:
    """The hazard of a known data set's category, `Malware/Hacking` or `malware_hacking`; None: none of ours."""
    return cast("Hazard | None", _WORDS.get(plain_words(category)))


def intent_of(label: str) -> Intent | None:
    """harmful or benign; None: the label is not known."""
    return cast("Intent | None", _INTENTS.get(plain_words(label)))
