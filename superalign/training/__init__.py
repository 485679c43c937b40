"""Examples -> Checkpoint, through TRL's own trainers in a child process."""
