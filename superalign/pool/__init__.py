"""The inference pool: one running engine for one base model and any number of checkpoints of it.

`vllm.py` is the engine of a run, `transformers.py` the reference for machines without vLLM, `scripted.py` a fake
that needs no model. All three obey `superalign.protocols.InferencePool`; only options are imported here.
"""

from superalign.pool.choice import AutoOptions, PoolOptions
from superalign.pool.options import ScriptedOptions, TransformersOptions, VllmOptions

__all__ = ["AutoOptions", "PoolOptions", "ScriptedOptions", "TransformersOptions", "VllmOptions"]
