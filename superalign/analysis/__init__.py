"""What a round came to. Pure."""
