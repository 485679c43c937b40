"""Options of verifiable principles: what a program can check of a reply."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import AfterValidator, Field, field_validator, model_validator

from superalign.records.base import FrozenModel, Intent

Combine = Literal["min", "weighted_mean"]
"""How scores of single principles become one score: the lowest, or the mean by the principles' weights."""
Pii = Literal["email", "phone", "iban", "card", "ip", "ssn"]
Language = Literal["de", "en", "es", "fr", "it", "nl", "pl", "pt"]
"""Languages that are recognised by their most common words."""


def _compiled(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None
    return pattern


Regex = Annotated[str, AfterValidator(_compiled)]


class Mend(FrozenModel):
    """How a program repairs a reply that fails a check; the result is judged like any other reply."""

    whole: str | None = None
    """Replaces the whole reply; None: keep the reply and apply the rest."""
    replace: dict[Regex, str] = Field(default_factory=dict)
    """Regular expression -> replacement, applied everywhere in this order."""
    begin: str = ""
    """Text to put before it, with a space between."""
    end: str = ""
    """Text to put after it, with a space between."""

    def of(self, reply: str) -> str:
        """The repaired reply."""
        text = reply.strip() if self.whole is None else self.whole
        for pattern, replacement in self.replace.items():
            text = re.sub(pattern, replacement, text)
        return " ".join(part for part in (self.begin, text.strip(), self.end) if part)


class _Check(FrozenModel):
    id: str
    """The principle that a failing reply breaks; its weight is that of the constitution, if it is there, else 1."""
    only: Intent | None = None
    """Apply only to replies to such requests; None: to all."""
    tags: tuple[str, ...] = ()
    """Apply only to replies to requests whose seed has one of these tags; empty: to all."""
    mend: Mend | None = None
    """How to make the critic's better answer; None: the critic has none."""


class PatternCheck(_Check):
    """A regular expression that must, or must not, be found in the reply."""

    kind: Literal["pattern"] = "pattern"
    must: Regex | None = None
    must_not: Regex | None = None

    @model_validator(mode="after")
    def _has_one(self) -> PatternCheck:
        if self.must is None and self.must_not is None:
            raise ValueError("neither must nor must_not is given")
        return self


class LengthCheck(_Check):
    """Length of a reply in words, both limits included."""

    kind: Literal["length"] = "length"
    min_words: Annotated[int, Field(ge=0)] = 0
    max_words: Annotated[int, Field(ge=1)] = 10**9

    @model_validator(mode="after")
    def _in_order(self) -> LengthCheck:
        if self.min_words > self.max_words:
            raise ValueError(f"min_words {self.min_words} is over max_words {self.max_words}")
        return self


class PiiCheck(_Check):
    """No personal data in the reply that does not occur in the conversation already."""

    kind: Literal["pii"] = "pii"
    kinds: Annotated[tuple[Pii, ...], Field(min_length=1)] = get_args(Pii)


class LanguageCheck(_Check):
    """The reply is in one of these languages; a reply too short to tell passes."""

    kind: Literal["language"] = "language"
    languages: Annotated[tuple[Language, ...], Field(min_length=1)]


class SchemaCheck(_Check):
    """The reply is JSON, as a whole or in one fenced block, and valid under a JSON schema."""

    kind: Literal["json_schema"] = "json_schema"
    json_schema: dict[str, Any]

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for

        try:
            validator_for(schema).check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"no JSON schema: {error.message}") from None
        return schema


class FunctionCheck(_Check):
    """A class of your own with `check(messages, reply)`, which returns a truth value or a score from 0 to 1."""

    kind: Literal["function"] = "function"
    path: str
    """A `.py` file or package folder, relative to the recipe, or an entry point of the group `superalign.checks`."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments of its constructor."""


RuleCheck: TypeAlias = Annotated[
    PatternCheck | LengthCheck | PiiCheck | LanguageCheck | SchemaCheck, Field(discriminator="kind")
]
"""Checks that a principle of a constitution may contain."""
Check: TypeAlias = Annotated[
    PatternCheck | LengthCheck | PiiCheck | LanguageCheck | SchemaCheck | FunctionCheck, Field(discriminator="kind")
]


class ChecksOptions(FrozenModel):
    """Checks verifiable principles; request, refusal and harm are not judged."""

    type: Literal["checks"] = "checks"
    checks: tuple[Check, ...] = ()
    """Checks in addition to those of the constitution's principles; they replace those with the same id."""
    combine: Combine = "min"

    @model_validator(mode="after")
    def _ids_differ(self) -> ChecksOptions:
        ids = [check.id for check in self.checks]
        if twice := sorted({id for id in ids if ids.count(id) > 1}):
            raise ValueError(f"check {twice[0]} is given twice")
        return self
