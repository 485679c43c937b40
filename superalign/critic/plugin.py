"""PluginCritic: a user's own class with `critique(messages, reply)` as a critic or a judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from superalign.critic.options import PluginOptions
from superalign.files.plugins import Plugin, load_plugin
from superalign.protocols import DropError
from superalign.records.exchange import Critique, Verdict
from superalign.records.rollout import Response

_OPEN = dict.fromkeys(("request_harmful", "refusal", "harm", "score"))


class PluginCritic:
    """Calls the plug-in with the conversation before the reply, as a list of {role, content}, and the reply."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin

    async def critique(self, response: Response) -> Critique:
        """Fields that the plug-in leaves out count as not judged; raises DropError if it returns no verdict."""
        messages = [message.model_dump() for message in response.attack.messages]
        result = await self.plugin.call(messages, response.generation.text)
        return Critique(response=response, verdict=self._verdict(result))

    def _verdict(self, result: Any) -> Verdict:
        if isinstance(result, Verdict):
            return result
        name = self.plugin.name
        if not isinstance(result, Mapping):
            fault = f"critique returned {type(result).__name__}; expected a dict with fields of a Verdict"
            raise DropError(f"{name}: {fault}: {', '.join(Verdict.model_fields)}")
        try:
            return Verdict.model_validate({"critic": name, **_OPEN, **result})
        except ValidationError as error:
            faults = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
            raise DropError(f"{name}: no verdict: {faults}") from None


def load_critic(options: PluginOptions, base_dir: Path | None = None) -> PluginCritic:
    """Raises PromptFileError for a plug-in that can't be used."""
    return PluginCritic(load_plugin(options.path, "critics", base_dir, options.options))
