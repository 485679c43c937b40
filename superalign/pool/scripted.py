"""A pool without a model: replies follow from a script and a hash, so every run of it ends with the same bytes.

It ships for tests, dry runs and for writing recipes; its replies mean nothing. A script is a YAML file:

    rules:
      - when: "(?i)recipe|poem"          # searched in the last user message
        replies: ["Gladly: ...", "Here you are: ..."]
      - when: "(?i)weapon"
        round: ">=1"                     # only checkpoints of round 1 or later: it has learned to refuse
        replies: ["I can't help with that."]
"""

from __future__ import annotations

import asyncio
import hashlib
import operator
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import yaml
from pydantic import ValidationError

from superalign.errors import PoolError
from superalign.pool.chat_template import too_long
from superalign.pool.drain import RequestLatch, require_served
from superalign.pool.options import ScriptedOptions, ScriptedRule
from superalign.protocols import PoolStats, Sampling, Score
from superalign.records.rollout import Generation, Message, Messages
from superalign.records.training import Checkpoint

COMPARE = {">=": operator.ge, "<=": operator.le, "==": operator.eq, ">": operator.gt, "<": operator.lt}


def load_rules(script: Path) -> tuple[ScriptedRule, ...]:
    """Rules of a script file; raises PoolError that names file, rule and cure."""
    try:
        data = yaml.safe_load(script.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise PoolError(
            f"{script} can't be read as YAML: {error}", "see superalign/pool/scripted.py for the form"
        ) from error
    entries = data.get("rules") if isinstance(data, dict) else data
    if not isinstance(entries, list):
        raise PoolError(f"{script} holds no list of rules", "begin it with `rules:`")
    rules = []
    for number, entry in enumerate(entries, 1):
        try:
            rules.append(ScriptedRule.model_validate(entry))
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise PoolError(
                f"{script}: rule {number}: {where}: {fault['msg']}",
                "keys: model, when, anywhere, round, replies, fault",
            ) from error
    return tuple(rules)


def round_of(model: str) -> int:
    """Round of a served name: `round-002#5` is 2, the base is 0."""
    number = re.search(r"\d+", model.split("#")[0])
    return int(number[0]) if number else 0


def digest(*parts: object) -> int:
    """A 64-bit number that is the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")


class ScriptedPool:
    """An InferencePool whose replies are a pure function of (checkpoint, messages, seed, rules)."""

    def __init__(self, options: ScriptedOptions) -> None:
        self.options = options
        self.rules = options.rules + (load_rules(options.script) if options.script else ())
        self._gate = RequestLatch()
        self._served: dict[str, str] = {"base": "base"}
        self._swaps = 0
        self._closed = False

    async def generate(self, model: str, messages: Messages | str, sampling: Sampling) -> list[Generation]:
        """Sample `sampling.n` replies; raises PoolError for an unknown model or a prompt that leaves no room."""
        messages = turns_of(messages)
        checkpoint, prompt_tokens = self._check(model, messages)
        async with self._gate.request():
            rule = self.rule(checkpoint, messages)
            await self._take_time(rule, checkpoint, messages, sampling.seed)
            max_new_tokens = self.options.max_model_len - prompt_tokens
            generations = [
                self._reply(rule, checkpoint, messages, sampling, index, max_new_tokens) for index in range(sampling.n)
            ]
        self._gate.count(prompt_tokens, generations)
        return [generation.model_copy(update={"prompt_tokens": prompt_tokens}) for generation in generations]

    async def score(self, model: str, messages: Messages | str, continuation: str, *, end: bool = False) -> Score:
        """A negative pseudo number per word of `continuation`, the same that `generate` adds up."""
        messages = turns_of(messages)
        checkpoint, prompt_tokens = self._check(model, messages)
        words = tokens_of(continuation)
        if messages and prompt_tokens + len(words) >= self.options.max_model_len:
            raise too_long(prompt_tokens + len(words), 1, self.options.max_model_len)
        async with self._gate.request():
            await self._take_time(None, checkpoint, messages, None)
        self._gate.count(prompt_tokens + len(words))
        logprobs = self._logprobs(checkpoint, messages, words, end=end)
        return Score(token_logprobs=logprobs, greedy=max(logprobs, default=0.0) > -1.0)

    def rule(self, checkpoint: str, messages: Messages) -> ScriptedRule | None:
        """The first rule that matches, if any."""
        last = last_user(messages)
        for rule in self.rules:
            text = "\n".join(message.content for message in messages) if rule.anywhere else last
            if rule.model is not None and not re.search(rule.model, checkpoint):
                continue
            if rule.when is not None and not re.search(rule.when, text):
                continue
            if rule.round is not None:
                sign, number = re.fullmatch(r"(\D+)(\d+)", rule.round).groups()  # type: ignore[union-attr]
                if not COMPARE[sign](round_of(checkpoint), int(number)):
                    continue
            return rule
        return None

    def _reply(
        self,
        rule: ScriptedRule | None,
        checkpoint: str,
        messages: Messages,
        sampling: Sampling,
        index: int,
        max_new_tokens: int,
    ) -> Generation:
        replies = rule.replies if rule is not None and rule.replies else self.options.fallback
        # Greedy replies depend on no seed; the n samples of a request use seed, seed + 1, ...
        seed = None if sampling.temperature == 0 else (sampling.seed or 0) + index
        reply = replies[digest(checkpoint, key(messages), seed) % len(replies)].replace("{last}", last_user(messages))
        cuts = [at for stop in sampling.stop if (at := reply.find(stop)) >= 0]
        words = tokens_of(reply[: min(cuts)] if cuts else reply)
        # As in a real engine, the end token counts: a reply that fills max_tokens exactly has not ended.
        limit = min(sampling.max_tokens, max_new_tokens)
        complete = len(words) < limit
        words = words[: limit if not complete else None]
        logprobs = self._logprobs(checkpoint, messages, words, end=complete)
        return Generation(
            text="".join(words),
            num_tokens=len(logprobs),
            logprob=sum(logprobs),
            finish="stop" if complete else "length",
        )

    def _logprobs(self, checkpoint: str, messages: Messages, words: list[str], *, end: bool) -> tuple[float, ...]:
        tokens = [*words, "<end>"] if end else words
        return tuple(-(digest(checkpoint, key(messages), at, word) % 4000) / 1000 for at, word in enumerate(tokens))

    async def _take_time(
        self, rule: ScriptedRule | None, checkpoint: str, messages: Messages, seed: int | None
    ) -> None:
        if rule is not None and rule.fault == "raise":
            raise PoolError("the script raises here", "remove `fault: raise` from the rule")
        if rule is not None and rule.fault == "hang":
            await asyncio.Event().wait()
        if self.options.delay_ms:
            share = digest("delay", checkpoint, key(messages), seed) % 1000 / 1000
            await asyncio.sleep(self.options.delay_ms * share / 1000)

    async def serve(self, checkpoint: Checkpoint) -> str:
        """Make a checkpoint known under a fresh name; rules see its round."""
        if self._closed:
            raise PoolError("the pool is closed", "start a new one")
        if checkpoint.adapter is None:
            return "base"
        self._swaps += 1
        name = f"{checkpoint.id}#{self._swaps}"
        self._served[name] = checkpoint.id
        return name

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Requests wait until the block ends."""
        async with self._gate.closed():
            yield

    def stats(self) -> PoolStats:
        """Counts since the start."""
        return self._gate.stats

    async def close(self) -> None:
        """Refuse requests from now on; a second call does nothing."""
        self._closed = True

    def _check(self, model: str, messages: Messages) -> tuple[str, int]:
        """Checkpoint id and prompt length in words."""
        require_served(model, self._served, is_open=not self._closed)
        prompt_tokens = sum(len(tokens_of(message.content)) for message in messages)
        if prompt_tokens >= self.options.max_model_len:
            raise too_long(prompt_tokens, 1, self.options.max_model_len)
        return self._served[model], prompt_tokens


def turns_of(messages: Messages | str) -> Messages:
    """A plain text counts as what a user says."""
    if isinstance(messages, str):
        return (Message(role="user", content=messages),) if messages else ()
    return messages


def tokens_of(text: str) -> list[str]:
    """Words with the space before them: the scripted pool's tokens."""
    return re.findall(r"\s*\S+|\s+$", text)


def last_user(messages: Messages) -> str:
    """The last user message, or nothing."""
    return next((message.content for message in reversed(messages) if message.role == "user"), "")


def key(messages: Messages) -> tuple[tuple[str, str], ...]:
    """Messages as plain values, for the hash."""
    return tuple((message.role, message.content) for message in messages)
