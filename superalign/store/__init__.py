"""What lasts: the run folder, its append-only journals and the hash chain over them. Knows no torch."""
