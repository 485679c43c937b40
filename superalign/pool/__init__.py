"""The inference pool: one running engine for one base model and any number of checkpoints of it.

`vllm/` is the engine of a run, `transformers/` the reference for machines without vLLM, `scripted.py` a fake that needs
no model. All three obey `superalign.protocols.InferencePool`.
"""
