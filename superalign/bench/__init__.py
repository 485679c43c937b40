"""Speed and memory of this machine, against baselines in the same run."""
