"""`type: auto`: the best engine that this machine has."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from superalign.pool.options import ScriptedOptions, TransformersOptions, VllmOptions
from superalign.records.base import FrozenModel


class AutoOptions(FrozenModel):
    """vLLM where it is installed, else plain transformers; each with its defaults."""

    type: Literal["auto"] = "auto"
    max_model_len: int = Field(default=2048, ge=16)
    """Prompt and reply together, tokens; left out, no more than the model's own window."""


Engine = TypeVar("Engine", VllmOptions, TransformersOptions)
PoolOptions = Annotated[AutoOptions | VllmOptions | TransformersOptions | ScriptedOptions, Field(discriminator="type")]


def choose(options: PoolOptions) -> VllmOptions | TransformersOptions | ScriptedOptions:
    """The options of a concrete engine."""
    if not isinstance(options, AutoOptions):
        return options
    named = {"max_model_len": options.max_model_len} if "max_model_len" in options.model_fields_set else {}
    kind = VllmOptions if importlib.util.find_spec("vllm") is not None else TransformersOptions
    return kind.model_validate(named)


def fitted(options: Engine, base: str) -> Engine:
    """The options with a window no wider than the model's, unless a recipe names one; base: as a loader takes it."""
    from transformers import AutoConfig

    if "max_model_len" in options.model_fields_set:
        return options
    try:
        config = AutoConfig.from_pretrained(base).get_text_config()
    except (OSError, ValueError):
        return options  # the engine says better what is wrong with the model
    own = getattr(config, "max_position_embeddings", None)
    return options if own is None else options.model_copy(update={"max_model_len": min(own, options.max_model_len)})
