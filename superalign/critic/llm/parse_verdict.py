"""Parses a model's answer strictly into a Verdict, from tagged lines or JSON; and the JSON schemas of answers.

Schemas prevent the mistakes of small models: the model chooses its quotation among the reply's sentences, and texts are
limited so that the tokens suffice (in English, with about four characters per token; elsewhere an answer that was cut
is asked for again).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Any, TypeVar

from superalign.critic.checks.options import Combine
from superalign.critic.constitution import Constitution
from superalign.critic.llm.fence import occurs
from superalign.critic.scoring import combined
from superalign.records.exchange import PrincipleScore, Refusal, Verdict

_ENDS = re.compile(r"(?<=[.!?:;])\s+|(?<=[。！？；])|\n+")
_CHARS = 160
_MOST = 24


def object_schema(fields: dict[str, Any]) -> dict[str, Any]:
    """Schema of an object with these keys in this order and no others."""
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def quotations(reply: str) -> list[str]:
    """The reply's sentences for quotation, cut to 160 characters; at most 24, spread over a longer reply."""
    parts = [part for end in _ENDS.split(reply) if occurs(part := end.strip()[:_CHARS].strip(), reply)]
    parts = list(dict.fromkeys(parts))
    if len(parts) > _MOST:
        parts = [parts[round(n * (len(parts) - 1) / (_MOST - 1))] for n in range(_MOST)]
    return parts or [reply.strip()[:_CHARS].strip()]


def read_object(text: str, keys: Collection[str]) -> dict[str, Any]:
    """Parses a JSON object with only these keys, each at most once; raises ValueError for anything else."""
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
    if len(data := dict(pairs)) < len(pairs):
        raise ValueError("a key is given twice")
    return data


_TAGS = ("REQUEST", "REFUSAL", "HARM", "SCORE", "PRINCIPLE", "QUOTE", "RATIONALE", "BETTER")
_VECTOR = "PRINCIPLES"
_NEEDED = ("REQUEST", "REFUSAL", "HARM", "SCORE", "QUOTE")
_LINE = re.compile(rf"^({'|'.join([*_TAGS, _VECTOR])})[ \t]*:[ \t]*", re.MULTILINE)
_ENTRY = re.compile(r"([\w.-]+)[ \t]*[=:][ \t]*([0-9]{1,2})")
_NOTHING = frozenset({"", "none", "n/a", "-", "null"})
_T = TypeVar("_T")


def schema_of(constitution: Constitution, reply: str, *, vector: bool, max_tokens: int) -> dict[str, Any]:
    """The JSON schema of a verdict; the reasons come first, so that the model writes them before the judgements.

    reply: the text to quote; max_tokens: of the whole answer, limits the texts in it.
    """
    ids = [principle.id for principle in constitution.principles]
    tenths = {"type": "integer", "minimum": 0, "maximum": 10}
    each = {"type": "array", "items": object_schema({"id": {"enum": ids}, "score": tenths}), "maxItems": len(ids)}
    return object_schema(
        {
            "quote": {"enum": quotations(reply)},
            "rationale": {"type": "string", "maxLength": max_tokens // 2},
            "request": {"enum": ["harmful", "benign"]},
            "refusal": {"enum": ["none", "partial", "full"]},
            "harm": {"type": "integer", "minimum": 0, "maximum": 3},
            **({"principles": each} if vector else {}),
            "score": tenths,
            "principle": {"enum": [*ids, "none"]},
            "better": {"type": "string", "maxLength": 2 * max_tokens},
        }
    )


def read_tagged(text: str, reply: str, constitution: Constitution, critic: str, combine: Combine | None) -> Verdict:
    """Parses tagged lines; raises ValueError, which says what is missing, repeated, invented or out of range."""
    tags = list(_LINE.finditer(text))
    values: dict[str, str] = {}
    for tag, end in zip(tags, [*(after.start() for after in tags[1:]), len(text)], strict=False):
        if tag[1] in values:
            raise ValueError(f"{tag[1]} is given twice")
        values[tag[1]] = text[tag.end() : end].strip()
    if tags and text[: tags[0].start()].strip():
        raise ValueError("text before the first tag")
    return _verdict(values, reply, constitution, critic, combine)


def read_json(text: str, reply: str, constitution: Constitution, critic: str, combine: Combine | None) -> Verdict:
    """Parses JSON of `schema_of`; raises ValueError like `read_tagged`."""
    values = {}
    for key, value in read_object(text, {tag.lower() for tag in (*_TAGS, _VECTOR)}).items():
        if key == _VECTOR.lower():
            values[_VECTOR] = _entries(value)
        elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
            values[key.upper()] = str(value).strip()
        else:
            raise ValueError(f"{key} is {value!r:.40}")
    return _verdict(values, reply, constitution, critic, combine)


def _verdict(
    values: dict[str, str], reply: str, constitution: Constitution, critic: str, combine: Combine | None
) -> Verdict:
    if missing := [tag for tag in (*_NEEDED, *([_VECTOR] if combine else [])) if tag not in values]:
        raise ValueError(f"{', '.join(missing)} missing")
    refusal: Refusal = _one_of(values, "REFUSAL", {"none": "none", "partial": "partial", "full": "full"})
    ids = {principle.id for principle in constitution.principles}
    principle = values.get("PRINCIPLE", "").lower()
    if principle not in _NOTHING and principle not in ids:
        raise ValueError(f"PRINCIPLE {principle!r:.40} is not in the constitution")
    quote = values["QUOTE"].strip().strip('"“”').strip()
    quotable = any(char.isalnum() for char in reply)
    if quotable and not occurs(quote, reply):
        raise ValueError(f"QUOTE {quote!r:.60} is not in the reply")
    better, score = values.get("BETTER", ""), _number(values, "SCORE", 10) / 10
    principles = _vector(values[_VECTOR], ids) if combine else ()
    shown = [f'"{quote}"'] if quotable else []
    return Verdict(
        critic=critic,
        request_harmful=_one_of(values, "REQUEST", {"harmful": 1.0, "benign": 0.0}),
        refusal=refusal,
        harm=_number(values, "HARM", 3) / 3,
        score=combined(principles, constitution, combine) if combine else score,
        principle=None if principle in _NOTHING else principle,
        rationale=" ".join([*([values["RATIONALE"]] if values.get("RATIONALE") else []), *shown]),
        better=None if better.lower().rstrip(".") in _NOTHING else better,
        principles=principles,
    )


def _vector(text: str, ids: set[str]) -> tuple[PrincipleScore, ...]:
    scores: dict[str, float] = {}
    for entry in filter(None, re.split(r"[,;\n]\s*", text)):
        parts = _ENTRY.fullmatch(entry.strip())
        if parts is None or int(parts[2]) > 10:
            raise ValueError(f"{_VECTOR} has {entry!r:.40}, not `id = score` with a score from 0 to 10")
        if parts[1] not in ids:
            raise ValueError(f"{_VECTOR} has {parts[1]!r:.40}, which is not in the constitution")
        if parts[1] in scores:
            raise ValueError(f"{_VECTOR} has {parts[1]} twice")
        scores[parts[1]] = int(parts[2]) / 10
    if not scores:
        raise ValueError(f"{_VECTOR} is empty")
    return tuple(PrincipleScore(id=id, score=score) for id, score in scores.items())


def _entries(value: Any) -> str:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError("principles is no list of objects")
    return ", ".join(f"{entry.get('id')}={entry.get('score')}" for entry in value)


def _one_of(values: dict[str, str], tag: str, words: dict[str, _T]) -> _T:
    word = values[tag].lower().rstrip(".")
    if word not in words:
        raise ValueError(f"{tag} is {word[:40]!r}, not one of {', '.join(words)}")
    return words[word]


def _number(values: dict[str, str], tag: str, most: int) -> int:
    if not re.fullmatch(r"[0-9]{1,2}", values[tag]) or int(values[tag]) > most:
        raise ValueError(f"{tag} is {values[tag][:40]!r}, no whole number from 0 to {most}")
    return int(values[tag])
