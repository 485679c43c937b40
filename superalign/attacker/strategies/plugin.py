"""Plug-ins as strategies: a class with `attack(seed, history)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from superalign.attacker.strategies.front_matter import STYLES, StrategyMeta
from superalign.attacker.strategies.protocol import Step, Writer
from superalign.errors import PromptFileError
from superalign.files.plugins import Plugin, is_plugin, load_plugin
from superalign.protocols import DropError
from superalign.records.exchange import Exchange
from superalign.records.rollout import Message, Messages, Rollout, Seed

_MESSAGES = TypeAdapter(tuple[Message, ...])
_WANTED = "a text, a list of {role, content}, an object with such `messages`, or None"


@dataclass(frozen=True)
class PluginStrategy:
    """What a plug-in says is the rollout's next attack.

    Besides `attack` its class may have `max_attacks` (of a rollout; 1 without it), `applies(seed) -> bool`, `style` (a
    word of the strategy files) and a docstring, which describes it. Runs can be repeated if equal arguments give
    equal attacks.
    """

    name: str
    """As the recipe's mix names it."""
    plugin: Plugin
    asks_model = False

    @property
    def sha256(self) -> str:
        return self.plugin.sha256

    @property
    def files(self) -> Mapping[str, Path]:
        return self.plugin.files

    @cached_property
    def meta(self) -> StrategyMeta:
        """What its class says of itself."""
        doc = (type(self.plugin.actor).__doc__ or "").strip().splitlines()
        return StrategyMeta.model_validate({"description": doc[0] if doc else "", "style": _style(self.plugin)})

    @property
    def max_attacks(self) -> int:
        """Attacks of one rollout, at most."""
        return int(getattr(self.plugin.actor, "max_attacks", 1))

    def applies(self, seed: Seed) -> bool:
        """What the plug-in says, if it does; raises DropError for what its `applies` raises."""
        applies = getattr(self.plugin.actor, "applies", None)
        try:
            return not seed.turns and (applies is None or bool(applies(seed)))
        except Exception as error:
            raise DropError(f"{self.name}: applies: {type(error).__name__}: {error}") from error

    async def step(self, rollout: Rollout, history: Sequence[Exchange], writer: Writer) -> Step | None:
        """Its next attack; raises DropError for what it raises, and for a result that is no attack."""
        if len(history) >= self.max_attacks:
            return None
        result = await self.plugin.call(rollout.seed, tuple(history))
        return None if result is None else Step(_conversation(self.name, result))


def resolve(name: str, base_dir: Path | None = None) -> PluginStrategy | None:
    """The plug-in of that name; None: the name is meant as something else. Raises PromptFileError."""
    if not is_plugin(name, "attackers", base_dir):
        return None
    plugin = load_plugin(name, "attackers", base_dir)
    style, most = _style(plugin), getattr(plugin.actor, "max_attacks", 1)
    if style not in STYLES:
        raise PromptFileError(f"{plugin.path}:1: style {style!r} is not known", "known: " + ", ".join(STYLES))
    if not isinstance(most, int) or most < 1:
        raise PromptFileError(f"{plugin.path}:1: max_attacks is {most!r}", "make it 1 or more")
    return PluginStrategy(name, plugin)


def _style(plugin: Plugin) -> object:
    return getattr(plugin.actor, "style", "plain")


def _conversation(name: str, result: Any) -> Messages:
    if isinstance(result, str):
        result = [{"role": "user", "content": result}]
    result = getattr(result, "messages", result)
    try:
        messages: Messages = _MESSAGES.validate_python(result)
    except ValidationError:
        raise DropError(f"{name}: attack returned {_shown(result)}; expected {_WANTED}") from None
    if not messages or messages[-1].role != "user" or not messages[-1].content.strip():
        raise DropError(f"{name}: attack returned a conversation that does not end with the user's words")
    return messages


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
