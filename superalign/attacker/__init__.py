"""Seed -> Attack."""
