"""Figures of a round's attacks: rates, hits, diversity, coverage. Pure."""
