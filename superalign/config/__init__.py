"""A recipe, checked, and every file that it names."""
