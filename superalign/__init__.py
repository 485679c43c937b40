"""superalign: a self-closing alignment loop of attacker, learner and critic."""

__version__ = "0.1.0"
