"""What a recipe can say about the pool, and the engine that `auto` or a command line names; imports nothing heavy."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from superalign.files.find import prompt_path
from superalign.files.yaml_lines import Faults, Loc, load_yaml_with_lines
from superalign.records.base import FrozenModel

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Serving = Literal["adapter", "merged", "auto"]


class VllmOptions(FrozenModel):
    """vLLM's async engine, in processes of its own."""

    type: Literal["vllm"] = "vllm"
    serving: Serving = "auto"
    """adapter: checkpoints are LoRA adapters beside the base; merged: the engine's weights are replaced, which needs an
    engine that serves the learner alone; auto: measured once, merged only where it is allowed and pays."""
    dtype: Dtype = "auto"
    """auto: the model's own on a GPU; float32 on a CPU: equal seeds stay equal, log-probabilities exact."""
    max_model_len: int = Field(default=2048, ge=16)
    """Prompt and reply together, tokens; left out, no more than the model's own window. A critic that reads the
    constitution needs more than 1024."""
    max_num_seqs: int = Field(default=128, ge=1)
    """Requests that share one step of the engine; the rest wait."""
    max_loras: int = Field(default=4, ge=1)
    """Adapters that can share one step."""
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256] = 16
    gpu_memory_utilization: float = Field(default=0.85, gt=0.0, le=1.0)
    """Share of a GPU's memory for weights and cache; a CPU takes `kv_cache_gb`."""
    kv_cache_gb: int = Field(default=2, ge=1)
    """Cache of keys and values on a CPU, GiB."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; default: all of the cores this process may use."""
    block_size: int | None = Field(default=None, ge=16)
    """Tokens per cache block; only whole blocks of equal prompts are shared. Default on a CPU: 32."""
    compile: bool | None = None
    """torch.compile, and CUDA graphs on a GPU: slower start, faster steps. Default: on a GPU only; on a CPU vLLM leaves
    it out where there are adapters."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """GPUs that share one copy of the model."""
    reference_canary: bool | None = None
    """Compare each swap with a forward pass of transformers + PEFT; default: for models up to 1 GB on disk."""
    engine_args: dict[str, object] = Field(default_factory=dict)
    """Anything else that vLLM's AsyncEngineArgs takes, by its name there."""


class TransformersOptions(FrozenModel):
    """Plain transformers + PEFT in this process: any machine, one tenth of vLLM's speed on a GPU."""

    type: Literal["transformers"] = "transformers"
    dtype: Dtype = "auto"
    device: str = "auto"
    """auto: cuda, mps or cpu, the first there is."""
    max_model_len: int = Field(default=2048, ge=16)
    """Prompt and reply together, tokens; left out, no more than the model's own window. A critic that reads the
    constitution needs more than 1024."""
    batch_size: int = Field(default=32, ge=1)
    """Sequences decoded together."""
    max_batch_wait_ms: float = Field(default=20.0, ge=0.0)
    """How long the first request of a batch waits for others."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads; default: torch's own choice."""


class ScriptedRule(FrozenModel):
    """One line of a script: replies to what matches."""

    model: str | None = None
    """Pattern (regular expression, searched) for the served name; default: any."""
    when: str | None = None
    """Pattern searched in the last user message; default: any."""
    anywhere: bool = False
    """Search `when` in every message instead."""
    round: str | None = Field(default=None, pattern=r"^(>=|<=|==|<|>)\d+$")
    """Rounds of the served checkpoint it applies to (`>=1`; the base is round 0)."""
    replies: tuple[str, ...] = ()
    """One is chosen by a hash of model, messages and seed; `{last}` becomes the last user message."""
    fault: Literal["raise", "hang"] | None = None
    """For tests: raise a PoolError, or never answer."""


class ScriptedOptions(FrozenModel):
    """Replies from a script, a pure function of model, messages and seed; no model, no torch."""

    type: Literal["scripted"] = "scripted"
    script: Path | None = None
    """A YAML file with `rules:`, or the list itself."""
    rules: tuple[ScriptedRule, ...] = ()
    """Rules in the recipe itself; they come before those of the file."""
    fallback: tuple[str, ...] = ("I see what you mean.", "Here is a short answer.", "Let me think about that.")
    """Replies where no rule matches."""
    delay_ms: float = Field(default=0.0, ge=0.0)
    """How long a reply takes at most; the actual time follows from the hash, so requests overtake each other."""
    max_model_len: int = Field(default=1024, ge=16)
    """Prompt and reply together, words."""


class AutoOptions(FrozenModel):
    """vLLM where it is installed, else plain transformers; each with its defaults."""

    type: Literal["auto"] = "auto"
    max_model_len: int = Field(default=2048, ge=16)
    """Prompt and reply together, tokens; left out, no more than the model's own window."""


Engine = TypeVar("Engine", VllmOptions, TransformersOptions)
PoolOptions = Annotated[AutoOptions | VllmOptions | TransformersOptions | ScriptedOptions, Field(discriminator="type")]
_POOL: TypeAdapter[PoolOptions] = TypeAdapter(PoolOptions)


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
    window = getattr(config, "max_position_embeddings", None)
    return (
        options if window is None else options.model_copy(update={"max_model_len": min(window, options.max_model_len)})
    )


def pool_from_cli_name(name: str, base_dir: Path) -> PoolOptions:
    """The options of `auto`, `vllm` or `transformers`, or of a file as it would stand under `pool:` in a recipe.

    base_dir: where a relative name starts. Raises PromptFileError with every fault in the file.
    """
    if not name.endswith((".yaml", ".yml")):
        return _POOL.validate_python({"type": name})
    document, faults = load_yaml_with_lines(prompt_path(name, base_dir)), Faults()

    def line(loc: Loc) -> int:
        return document.line(loc[1:])  # pydantic names the kind first, the file does not

    try:
        return _POOL.validate_python(document.data)
    except ValidationError as error:
        faults.add_invalid(document.path, error, line)
        faults.raise_if_any()
        raise
