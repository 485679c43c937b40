"""JSON schemas of answers, for engines that hold a model to a form.

What a small model gets wrong on its own is taken from it: it chooses its quotation among the reply's sentences, and no
text may grow until the tokens are spent.
"""

from __future__ import annotations

import re
from typing import Any

from superalign.critic.fence import occurs

_ENDS = re.compile(r"(?<=[.!?:;])\s+|\n+")
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
