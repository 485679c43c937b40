"""Two evaluations -> Promotion. Pure."""
