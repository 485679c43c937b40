"""What a run does, outside of a run: attack, evaluate, compare, calibrate."""
