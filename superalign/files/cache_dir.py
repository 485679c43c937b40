"""Where the user's cache lies."""

import os
from pathlib import Path


def cache_home() -> Path:
    """`SUPERALIGN_HOME`, or else a folder of the user's cache (`XDG_CACHE_HOME`, ~/.cache)."""
    if home := os.environ.get("SUPERALIGN_HOME"):
        return Path(home).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "superalign"
