"""The pool of a run: vLLM, in its own processes."""
