"""How long `superalign --help` takes, in starts of a bare interpreter, measured side by side."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

BARE = [sys.executable, "-c", "pass"]
CODE = "import sys; sys.argv = ['superalign', '--help']; from superalign.cli.main import main; main()"
HELP = [sys.executable, "-c", CODE]


def seconds(command: list[str]) -> float:
    """One run of a command."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Print minimum and median of both, and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="?", type=int, default=10)
    runs = parser.parse_args().runs
    pairs = [(seconds(BARE), seconds(HELP)) for _ in range(runs)]
    for name, figure in (("minimum", min), ("median", statistics.median)):
        bare, shown = (figure(times) for times in zip(*pairs, strict=True))
        print(f"{name:<8} bare {1000 * bare:6.1f} ms, --help {1000 * shown:7.1f} ms: {shown / bare:4.1f} bare starts")


if __name__ == "__main__":
    main()
