"""ChecksCritic: verifiable principles, each checked by a program."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jsonschema.validators import validator_for

from superalign.critic.checks.language_id import language_of
from superalign.critic.checks.options import (
    Check,
    ChecksOptions,
    FunctionCheck,
    LanguageCheck,
    LengthCheck,
    PatternCheck,
    PiiCheck,
)
from superalign.critic.checks.pii import pii_in
from superalign.critic.constitution import Constitution
from superalign.critic.scoring import combined
from superalign.files.plugins import Plugin, load_plugin
from superalign.protocols import DropError
from superalign.records.exchange import Critique, PrincipleScore, Verdict
from superalign.records.rollout import Response, Seed

_BLOCK = re.compile(r"\A\s*```(?:json)?\n(.*?)\n```\s*\Z", re.DOTALL)


class ChecksCritic:
    """Says which checks a reply passes; request, refusal and harm are others' to judge."""

    name = "checks"

    def __init__(self, options: ChecksOptions, constitution: Constitution, functions: Mapping[str, Plugin]) -> None:
        self.options, self.constitution, self.functions = options, constitution, functions

    async def critique(self, response: Response) -> Critique:
        """Raises DropError where a function fails, or no check applies to the request."""
        seed, constitution = response.attack.seed, self.constitution.applying_to(response.attack.seed)
        applying = [check for check in checks_of(self.options, constitution) if _applies(check, seed)]
        results = [(check, *await self._result(check, response)) for check in applying]
        principles = tuple(PrincipleScore(id=check.id, score=score) for check, score, _ in results)
        score = combined(principles, constitution, self.options.combine)
        if score is None:
            raise DropError(f"no check with a weight applies to a {seed.intent} request")
        failed = [(check.id, why) for check, held, why in results if held < 0.5]
        verdict = Verdict(
            critic=self.name, request_harmful=None, refusal=None, harm=None, score=score,
            principle=failed[0][0] if failed else None,
            rationale="; ".join(f"{id}: {why}" for id, why in failed) or f"All {len(results)} checks are passed.",
            better=_mended([check for check, held, _ in results if held < 0.5], response.generation.text),
            principles=principles,
        )  # fmt: skip
        return Critique(response=response, verdict=verdict)

    async def _result(self, check: Check, response: Response) -> tuple[float, str]:
        """How far it holds, 0 to 1, and why it does not."""
        reply = response.generation.text
        if isinstance(check, FunctionCheck):
            messages = [message.model_dump() for message in response.attack.messages]
            return _held(await self.functions[check.id].call(messages, reply), self.functions[check.id].name)
        why = fault_of(check, reply, [message.content for message in response.attack.messages])
        return float(why is None), why or ""


def checks_of(options: ChecksOptions, constitution: Constitution) -> list[Check]:
    """The recipe's checks, and those of the constitution's principles that it does not replace."""
    own = {check.id for check in options.checks}
    theirs = (principle.check for principle in constitution.principles)
    return [*options.checks, *(check for check in theirs if check is not None and check.id not in own)]


def _applies(check: Check, seed: Seed) -> bool:
    return check.only in (None, seed.intent) and (not check.tags or not set(check.tags).isdisjoint(seed.tags))


def _mended(failed: Sequence[Check], reply: str) -> str | None:
    """The reply put right, where for every failed check it is known how."""
    mends = [check.mend for check in failed]
    if not mends or None in mends:
        return None
    for mend in mends:
        reply = mend.of(reply) if mend is not None else reply
    return reply


def load_functions(options: ChecksOptions, base_dir: Path) -> dict[str, Plugin]:
    """The functions by their checks' ids; raises PromptFileError for one that can't be used."""
    wanted = [check for check in options.checks if isinstance(check, FunctionCheck)]
    return {check.id: load_plugin(check.path, "checks", base_dir, check.options) for check in wanted}


def fault_of(check: Check, reply: str, said: Sequence[str]) -> str | None:
    """Why a reply fails a check that is no function; None: it passes. said: the conversation before it."""
    if isinstance(check, PatternCheck):
        return _pattern_fault(check, reply)
    if isinstance(check, LengthCheck):
        words = len(reply.split())
        if check.min_words <= words <= check.max_words:
            return None
        return f"{words} words, not {check.min_words} to {check.max_words}"
    if isinstance(check, PiiCheck):
        known = {text for turn in said for _, text in pii_in(turn, check.kinds)}
        found = [(kind, text) for kind, text in pii_in(reply, check.kinds) if text not in known]
        return f'"{found[0][1]}" looks like personal data ({found[0][0]})' if found else None
    if isinstance(check, LanguageCheck):
        language = language_of(reply)
        known_and_other = language is not None and language not in check.languages
        return f"the reply is in {language}, not {' or '.join(check.languages)}" if known_and_other else None
    assert not isinstance(check, FunctionCheck)
    return _schema_fault(check.json_schema, reply)


def _pattern_fault(check: PatternCheck, reply: str) -> str | None:
    if check.must is not None and not re.search(check.must, reply):
        return f"nothing in the reply matches {check.must}"
    found = re.search(check.must_not, reply) if check.must_not is not None else None
    return f'"{found[0]}" matches {check.must_not}' if found else None


def _schema_fault(schema: dict[str, Any], reply: str) -> str | None:
    block = _BLOCK.fullmatch(reply)
    try:
        value = json.loads(block[1] if block else reply)
    except (ValueError, RecursionError) as error:
        return f"the reply is not JSON: {error}"
    fault = next(iter(validator_for(schema)(schema).iter_errors(value)), None)
    return f"{fault.json_path}: {fault.message:.200}" if fault else None


def _held(result: Any, name: str) -> tuple[float, str]:
    if isinstance(result, bool | int | float) and 0 <= result <= 1:
        return float(result), f"{name} says {result}"
    raise DropError(f"{name}: check returned {result!r:.60}; expected true, false or a number from 0 to 1")
