"""Checkpoint -> Evaluation: held-out suites, a judge, rates with intervals."""
