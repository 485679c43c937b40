"""Exchanges -> training examples. Pure."""
