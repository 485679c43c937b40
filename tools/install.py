"""Make .venv and install superalign into it from a lock file; `make install` calls it.

Nothing but Python is needed. The device is `cuda` where nvidia-smi finds a GPU on Linux, else `cpu`;
SUPERALIGN_DEVICE=cpu|cuda decides otherwise. A second call finds its stamp and returns at once.
"""

from __future__ import annotations  # a Python that is too old is to hear so, not to fail at an annotation

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


class InstallError(Exception):
    """What went wrong and where, and the cure."""


def say(line: str) -> None:
    """One line of progress."""
    print(f"install: {line}", flush=True)


def choose_device() -> str:
    """`cpu` or `cuda`: what SUPERALIGN_DEVICE asks for, else what the machine has."""
    asked = os.environ.get("SUPERALIGN_DEVICE", "").lower()
    if asked not in ("", "cpu", "cuda"):
        raise InstallError(f"SUPERALIGN_DEVICE is {asked!r}; set it to cpu or cuda, or unset it")
    if asked == "cuda" and sys.platform != "linux":
        raise InstallError(f"SUPERALIGN_DEVICE=cuda, but vLLM has no CUDA build for {sys.platform}; unset it")
    if asked or sys.platform != "linux" or not shutil.which("nvidia-smi"):
        return asked or "cpu"
    try:
        found = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "cpu"
    return "cuda" if found.returncode == 0 and "GPU" in found.stdout else "cpu"


def call(command: list[str]) -> tuple[bool, str]:
    """Run `command`, showing its large downloads; whether it succeeded, and its error lines (else its last ones)."""
    lines = []
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, stdout=pipe, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as child:
        for line in child.stdout or ():
            if line.strip():
                lines.append(line.strip())
            if large := re.search(r"Downloading (\S+).*\((\d{2,}\.\d MB)\)", line):
                say(f"  {large[1].rpartition('/')[2]}, {large[2]}")
    errors = [line for line in lines if line.lower().startswith(("error", "cause"))]
    return child.returncode == 0, "\n  ".join(errors or lines[-5:])


def pip_install(*arguments: str) -> tuple[bool, str]:
    """`pip install` without resolution in the .venv: the lock file is complete."""
    pip = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off", "--no-deps"]
    return call([*pip, *arguments])


def make_venv() -> None:
    """Create .venv where there is none, with pip in it; keep the one that is there."""
    if not PYTHON.exists():
        say(f"creating {VENV} with Python {platform.python_version()}")
        good, why = call([sys.executable, "-m", "venv", str(VENV)])
        if not good:
            shutil.rmtree(VENV, ignore_errors=True)
            raise InstallError(
                f"{sys.executable} -m venv failed:\n  {why}\n"
                "On Debian and Ubuntu install python3-venv; or name another Python: make PYTHON=python3.12 ..."
            )
    good, version = call([str(PYTHON), "-c", "import sys; print(*sys.version_info[:2], sep='.')"])
    if not good or version not in ("3.11", "3.12", "3.13", "3.14"):
        raise InstallError(f"{VENV} has no Python 3.11 to 3.14 ({version}); remove it (make clean) and try again")
    if not call([str(PYTHON), "-m", "pip", "--version"])[0] and not call([str(PYTHON), "-m", "ensurepip"])[0]:
        raise InstallError(f"{VENV} has no pip and ensurepip can't add it; remove it (make clean) and try again")


def install_torch(pins: dict[str, str]) -> None:
    """The CPU build of torch: on Linux the plain one is gigabytes of CUDA, elsewhere it is the CPU build already."""
    plain = f"torch=={pins['torch']}"
    good, why = pip_install(f"{plain}+cpu" if sys.platform == "linux" else plain)
    if not good and sys.platform == "linux":
        say("pip's index has no CPU build of torch; uv knows where PyTorch keeps it")
        good, why_uv = pip_install(f"uv=={pins['uv']}")
        if good:
            uv = [str(PYTHON), "-m", "uv", "pip", "install", "--python", str(PYTHON), "--no-deps"]
            good, why_uv = call([*uv, "--torch-backend=cpu", plain])
        why += f"\n  {why_uv}"
    if not good:
        raise InstallError(
            f"{plain} (CPU build) could not be installed:\n  {why}\n"
            "Check the network and pip's settings (pip config list), or put a wheel of it where pip's find-links points"
        )


def install(device: str, lock: Path) -> None:
    """Torch, the lock file, and superalign itself, in that order."""
    pins = dict(re.findall(r"^(torch|uv)==(\S+)", lock.with_name("cuda.lock").read_text("utf-8"), re.MULTILINE))
    if device == "cpu":
        say(f"[1/3] torch {pins['torch']}, CPU build")
        install_torch(pins)
    say(f"[2/3] what requirements/{lock.name} names; this takes minutes")
    good, why = pip_install("--requirement", str(lock))
    if not good:
        raise InstallError(f"{lock} could not be installed:\n  {why}\nCheck network and disk, and try again")
    say("[3/3] superalign itself, editable")
    good, why = pip_install("--no-build-isolation", "--editable", str(ROOT))
    if not good:
        raise InstallError(f"superalign could not be installed:\n  {why}\nCheck {ROOT / 'pyproject.toml'}")


def main() -> int:
    """Install, or find that it was done; 0 if superalign can be called afterwards."""
    if not (3, 11) <= sys.version_info[:2] < (3, 15):
        raise InstallError(
            f"this is Python {platform.python_version()}, 3.11 to 3.14 is needed; make PYTHON=python3.12"
        )
    device = choose_device()
    lock = ROOT / "requirements" / f"{device}.lock"
    wanted = hashlib.sha256(lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode())
    stamp = VENV / f".superalign-{device}-{wanted.hexdigest()[:16]}"
    if stamp.exists() and PYTHON.exists():
        say(f"up to date for {device} in {VENV}")
        return 0
    stamps = list(VENV.glob(".superalign-*"))
    if any(not old.name.startswith(f".superalign-{device}-") for old in stamps):
        say(f"{VENV} was made for another device, making it anew for {device}")  # the builds would overlay each other
        shutil.rmtree(VENV)
    started = time.monotonic()
    say(f"device {device} (SUPERALIGN_DEVICE=cpu|cuda to choose)")
    make_venv()
    for old in stamps:
        old.unlink(missing_ok=True)
    unfinished = VENV / f".superalign-{device}-unfinished"  # a killed installation is known by its device, too
    unfinished.touch()
    install(device, lock)
    unfinished.rename(stamp)
    say(f"done in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (InstallError, OSError) as fault:
        print(f"install: {fault}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("install: stopped; call it again to go on", file=sys.stderr)
        sys.exit(130)
