"""What the attacks of a round came to: rates, hits, diversity, coverage. Pure."""
