"""`python -m benchmarks NAME [--set A=B ...] [--json]`: a measurement of the documents, made again."""

from __future__ import annotations

import argparse

from superalign.cli.bench import print_bench
from superalign.cli.main import reported

BENCHMARKS = (
    "attack", "attacker", "critic", "effort", "escalation", "gate_error_rates", "injection", "review", "values",
)  # fmt: skip


def main() -> None:
    """Run one; its settings are the parameters of its module's `run`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=BENCHMARKS)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="A=B")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    arguments = parser.parse_args()
    with reported():
        print_bench(f"benchmarks.{arguments.name}", arguments.settings, arguments.json)


if __name__ == "__main__":
    main()
