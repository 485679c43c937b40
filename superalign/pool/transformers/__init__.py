"""The reference pool, for machines without vLLM."""
