"""What the attack side of a round came to: rates, hits, diversity, coverage. Pure."""
