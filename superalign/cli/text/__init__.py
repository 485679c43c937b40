"""Records as text for the terminal."""
