"""`type: auto`: the best engine that this machine has."""

from __future__ import annotations

import importlib.util
from typing import Annotated, Literal

from pydantic import Field

from superalign.pool.options import Options, ScriptedOptions, TransformersOptions, VllmOptions


class AutoOptions(Options):
    """vLLM where it is installed, else plain transformers; each with its defaults."""

    type: Literal["auto"] = "auto"
    max_model_len: int = Field(default=2048, ge=16)
    """Prompt and reply together, tokens; a critic that reads the constitution needs more than 1024."""


PoolOptions = Annotated[AutoOptions | VllmOptions | TransformersOptions | ScriptedOptions, Field(discriminator="type")]


def choose(options: PoolOptions) -> VllmOptions | TransformersOptions | ScriptedOptions:
    """The options of a concrete engine."""
    if not isinstance(options, AutoOptions):
        return options
    if importlib.util.find_spec("vllm") is not None:
        return VllmOptions(max_model_len=options.max_model_len)
    return TransformersOptions(max_model_len=options.max_model_len)
