"""A checkpoint as a plain model, with its card."""
