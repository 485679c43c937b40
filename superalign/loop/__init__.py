"""The loop, from top to bottom."""
