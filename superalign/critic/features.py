"""What the probe sees of a reply besides its meaning: cues that are counted, each between about 0 and 1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log1p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superalign.critic.rules import OWN, normal, refusal_of
from superalign.records import Refusal

REFUSALS: tuple[Refusal, ...] = ("full", "none", "partial")  # in the order of scikit-learn's sorted classes
OPENING_CHARS = 300  # a refusal shows early, and a long answer's subject would drown it
BODY_CHARS = 1000  # about what the embedder reads
_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+|\n+")
_DISAPPROVES = re.compile(
    r"\b(?:illegal|unethical|immoral|against the law|not (?:okay|ok|ethical|legal|appropriate|right|acceptable)"
    r"|never (?:okay|ok|acceptable|appropriate|right)|unacceptable|inappropriate|(?:seriously |very )?wrong to"
    r"|harmful|offensive|disrespectful|irresponsible|serious (?:crime|offence|offense|consequences))\b"
)
_EXHORTS = re.compile(
    r"\b(?:i (?:strongly )?(?:encourage|urge|advise|recommend|suggest|would (?:advise|encourage|recommend|suggest))"
    r"|it(?:'s| is) (?:important|essential|crucial|best|vital) (?:to|that)|please (?:consider|seek|reach|contact|talk"
    r"|speak|respect)|seek (?:help|support|professional|medical|legal)|reach out|you are not alone|respect"
    r"|instead of|rather than|we should|you should|everyone deserves)\b"
)
_ITEM = re.compile(r"^\s*(?:step \d+|\d{1,2}[.):]|[-*•])[ \t]+\S", re.MULTILINE | re.IGNORECASE)
_SURE = re.compile(r"^(?:sure|certainly|of course|absolutely|okay|ok|yes|here(?:'s| is| are))\b")
_OFFERS = re.compile(r"\bi(?:'d| would| can| could|'m| am) (?:be )?(?:happy|glad|gladly)?\b")
_SPEAKER = re.compile(r"\b(?:as an? (?:ai|responsible|language|assistant)|i(?:'m| am) (?:an? (?:ai|language)|sorry))\b")
_CODE = re.compile(r"```|^\s*(?:import |from \w+ import|def |class |for \w+ in |#include|while )", re.MULTILINE)
_WORD = re.compile(r"[^\W\d_]{3,}")
_STOP = frozenset(
    "the and for that this with you your are was not but have has had can could would should will they them their "
    "from into how what when where which who why does did its it's there here just about some any all one out more "
    "than then than tell give write show explain make get list way ways please help create provide describe".split()
)


def opening(reply: str) -> str:
    """The part of a reply in which a refusal shows."""
    return reply.strip()[:OPENING_CHARS] or "(nothing)"


def body(reply: str) -> str:
    """As much of a reply as the embedder reads."""
    return reply.strip()[:BODY_CHARS] or "(nothing)"


def reply_cues(reply: str) -> NDArray[Any]:
    """(16,): what phrases and shape say of a reply."""
    plain = normal(reply)
    sentences = [s for s in _SENTENCE_END.split(plain) if s.strip()] or [""]
    count = len(sentences)
    state = refusal_of(reply)
    own = [bool(OWN.search(s)) for s in sentences]

    def share(pattern: re.Pattern[str]) -> float:
        return sum(bool(pattern.search(s)) for s in sentences) / count

    return np.asarray(
        [
            *(float(state == other) for other in REFUSALS),
            float(own[0]),
            sum(own) / count,
            share(_DISAPPROVES),
            float(bool(_DISAPPROVES.search(sentences[0]))),
            share(_EXHORTS),
            float(bool(_SPEAKER.search(plain[:OPENING_CHARS]))),
            share(_OFFERS),
            min(log1p(len(_ITEM.findall(reply))) / 3, 1.0),
            min(log1p(len(plain.split())) / 6, 1.2),
            sum(s.rstrip().endswith("?") for s in sentences) / count,
            float(bool(_SURE.search(plain))),
            float(bool(_CODE.search(reply))),
            _variety(plain),
        ],
        dtype=np.float32,
    )


def pair_cues(request: str, reply: str) -> NDArray[Any]:
    """(3,): how many of the request's words the reply takes up, what share of its words is new, and both shares'
    product: an answer takes the subject up and adds to it, where an echo adds nothing.
    """
    asked, said = _stems(request), _stems(reply)
    taken = len(asked & said) / max(len(asked), 1)
    new = len(said - asked) / max(len(said), 1)
    return np.asarray([taken, new, taken * new], dtype=np.float32)


def closeness(requests: NDArray[Any], openings: NDArray[Any], bodies: NDArray[Any]) -> NDArray[Any]:
    """(n, 3): cosines of requests with openings and bodies of replies, all (n, dim) of length 1, and the lesser."""
    first = np.einsum("nd,nd->n", requests, openings)
    whole = np.einsum("nd,nd->n", requests, bodies)
    return np.stack([first, whole, np.minimum(first, whole)], axis=1).astype(np.float32)


def stacked(rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """(n, cues)."""
    return np.stack(list(rows)) if rows else np.zeros((0, 0), dtype=np.float32)


def _stems(text: str) -> set[str]:
    return {w[:6] for w in _WORD.findall(text.lower()) if w not in _STOP}


def _variety(plain: str) -> float:
    """Different words per word of the first hundred; a loop has few."""
    words = plain.split()[:100]
    return len(set(words)) / len(words) if words else 0.0
