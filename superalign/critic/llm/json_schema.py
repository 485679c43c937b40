"""JSON schemas of answers, for engines that hold a model to a form, and the JSON that comes back.

What a small model gets wrong on its own is taken from it: it chooses its quotation among the reply's sentences, and no
text may grow until the tokens are spent (in English, where a token has about four characters; elsewhere an answer that
was cut is asked for again).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any

from superalign.critic.llm.fence import occurs

_ENDS = re.compile(r"(?<=[.!?:;])\s+|(?<=[。！？；])|\n+")
_CHARS = 160
_MOST = 24


def object_schema(fields: dict[str, Any]) -> dict[str, Any]:
    """An object with these keys in this order and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def quotations(reply: str) -> list[str]:
    """What of a reply can be quoted: its sentences, cut to 160 characters, 24 at most, spread over a longer one.

    Just the empty one where the reply has nothing to quote.
    """
    found = [part for end in _ENDS.split(reply) if occurs(part := end.strip()[:_CHARS].strip(), reply)]
    found = list(dict.fromkeys(found))
    if len(found) > _MOST:
        found = [found[round(n * (len(found) - 1) / (_MOST - 1))] for n in range(_MOST)]
    return found or [reply.strip()[:_CHARS].strip()]


def read_object(text: str, keys: Collection[str]) -> dict[str, Any]:
    """A JSON object with none but these keys, each once; raises ValueError for anything else."""
    try:
        data = json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("JSON nested too deep") from None
    if not isinstance(data, dict):
        raise ValueError("no JSON object")
    if unknown := sorted(data.keys() - set(keys)):
        raise ValueError(f"unknown key {unknown[0]}")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError("a key is given twice")
    return found
