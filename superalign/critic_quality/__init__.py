"""How far a critic can be trusted: its verdicts held against people's labels. Pure, but for one critic that wraps."""
