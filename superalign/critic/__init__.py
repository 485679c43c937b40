"""Response -> Critique."""
