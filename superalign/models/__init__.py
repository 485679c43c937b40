"""Weights by name: embedded models, the sentence embedder, sequence classifiers."""
