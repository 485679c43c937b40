"""One function that gives every request its own random seed, whatever the order in which requests finish."""

from __future__ import annotations

import hashlib
import json


def derive_seed(run_seed: int, *parts: str | int) -> int:
    """A seed in [0, 2**31) from the run's seed and the request's address.

    Callers name round, seed id, role and index (an attack's id already holds the first, second and last);
    sha256 rather than `hash`, which differs from process to process.
    """
    address = json.dumps([run_seed, *parts], ensure_ascii=False).encode()
    return int.from_bytes(hashlib.sha256(address).digest()[:4], "big") >> 1
