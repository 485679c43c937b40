"""Figures and reports of a round and a run."""
