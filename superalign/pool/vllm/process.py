"""vLLM's processes: how they start, where their output goes, how they end."""

from __future__ import annotations

import json
import logging.config
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from superalign.errors import PoolError
from superalign.pool.options import VllmOptions

WORKER_EXTENSION = "superalign.pool.vllm.worker.WorkerExtension"
CORES_LEFT_TO_VLLM = 16
"""From this many cores on vLLM's own binding (by NUMA node, one core kept for its scheduler) is left alone."""


def has_gpu() -> bool:
    """Whether vLLM will run on an accelerator."""
    from vllm.platforms import current_platform

    return not current_platform.is_cpu()


def environment(options: VllmOptions, model: str) -> dict[str, str]:
    """Variables that vLLM's processes read when they start."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    values = {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "VLLM_CPU_KVCACHE_SPACE": str(options.kv_cache_gb),
        "TOKENIZERS_PARALLELISM": "false",
        # Threads of OpenMP wait for each other in a loop. On a machine that others use that costs 4/5 of the speed with
        # the default of 300,000 turns (27 against 143 tokens/s on two cores); on an idle one this makes no difference.
        "GOMP_SPINCOUNT": "3000",
    }
    if options.threads is not None or cores < CORES_LEFT_TO_VLLM:
        # vLLM's own binding keeps one core for its scheduler: of two cores that is half of the machine.
        values |= {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(options.threads or cores)}
    if Path(model).is_dir():
        values["HF_HUB_OFFLINE"] = "1"
    return values


@contextmanager
def quiet_start(values: dict[str, str], log: Path) -> Iterator[None]:
    """Start child processes with these variables, their output and vLLM's log in a file; this process keeps its own."""
    from multiprocessing import util

    log.parent.mkdir(parents=True, exist_ok=True)
    before = dict(os.environ)
    os.environ.update(values)
    settings = logging_config(log)
    with tempfile.NamedTemporaryFile("w", suffix=".json", delete=False) as config:
        json.dump(settings, config)
    logging.config.dictConfig(settings)  # vLLM warns while it is imported, before it has configured anything
    os.environ["VLLM_LOGGING_CONFIG_PATH"] = config.name
    spawn = util.spawnv_passfds

    def spawn_into_log(path: bytes, args: Any, passfds: Any) -> int:
        # Children inherit descriptors 1 and 2; they point to the log for the length of one fork.
        with log.open("ab") as sink:
            kept = [(fd, os.dup(fd)) for fd in (1, 2)]
            try:
                for fd, _ in kept:
                    os.dup2(sink.fileno(), fd)
                return int(spawn(path, args, passfds))
            finally:
                for fd, copy in kept:
                    os.dup2(copy, fd)
                    os.close(copy)

    util.spawnv_passfds = spawn_into_log
    try:
        yield
    finally:
        util.spawnv_passfds = spawn
        Path(config.name).unlink(missing_ok=True)
        # vLLM adds to the environment (LD_PRELOAD, OMP_*); the trainer must not inherit that.
        os.environ.clear()
        os.environ.update(before)


def logging_config(log: Path) -> dict[str, Any]:
    """A dictConfig that sends vLLM's loggers, in this process and in its own, to the file."""
    form = "%(levelname)s %(asctime)s [%(filename)s:%(lineno)d] %(message)s"
    handler = {"class": "logging.FileHandler", "formatter": "plain", "filename": str(log), "mode": "a"}
    loggers = {name: {"handlers": ["file"], "level": "INFO", "propagate": False} for name in ("vllm", "transformers")}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": form}},
        "handlers": {"file": handler},
        "loggers": loggers,
    }


def engine_args(model: str, options: VllmOptions, *, lora: bool, gpu: bool) -> dict[str, Any]:
    """Arguments of vLLM's AsyncEngineArgs."""
    args: dict[str, Any] = {
        "model": model,
        "dtype": options.dtype if options.dtype != "auto" or gpu else "float32",
        "max_model_len": options.max_model_len,
        "max_num_seqs": options.max_num_seqs,
        "tensor_parallel_size": options.tensor_parallel_size,
        "enforce_eager": not (gpu if options.compile is None else options.compile),
        "disable_log_stats": True,
        "enable_log_requests": False,
        "enable_prefix_caching": True,
        "generation_config": "vllm",
        # where blanks are free, a small model may write nothing else until its tokens are spent
        "structured_outputs_config": {"backend": "guidance", "disable_any_whitespace": True},
    }
    if gpu:
        args |= {"gpu_memory_utilization": options.gpu_memory_utilization, "enable_sleep_mode": True}
    else:
        # A seeded request whose prompt is split over two steps kills vLLM 0.32 on a CPU ("CPU Generator does not use
        # offset", gpu_model_runner.py), so no prompt is split.
        args |= {
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(2048, options.max_model_len),
            "block_size": options.block_size or 32,
        }
        if options.tensor_parallel_size == 1:
            # In the scheduler's process: between two processes one spins while the other computes, on 2 cores a third
            # of the machine. (By its plain name, "uni", vLLM replaces it on a CPU.)
            args["distributed_executor_backend"] = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
    if options.block_size is not None:
        args["block_size"] = options.block_size
    if lora:
        args |= {"enable_lora": True, "max_loras": options.max_loras, "max_lora_rank": options.max_lora_rank}
        args |= {"max_cpu_loras": max(8, options.max_loras)}
    args["worker_extension_cls"] = WORKER_EXTENSION
    return args | options.engine_args


def children() -> dict[int, float]:
    """Pids of this process's descendants with their start times; python's resource tracker outlives engines."""
    import psutil  # type: ignore[import-untyped]

    started = {}
    for process in psutil.Process().children(recursive=True):
        try:
            if "multiprocessing.resource_tracker" in " ".join(process.cmdline()):
                continue
            started[process.pid] = process.create_time()
        except psutil.NoSuchProcess:
            continue
    return started


def end_processes(pids: dict[int, float], *, patience_s: float = 5.0) -> None:
    """End exactly these processes, politely first; a pid that another process has taken since is left alone."""
    import psutil

    living = []
    for pid, created in pids.items():
        try:
            process = psutil.Process(pid)
            if process.create_time() == created:
                living.append(process)
        except psutil.NoSuchProcess:
            continue
    for act in ("terminate", "kill"):
        for process in living:
            try:
                getattr(process, act)()
            except psutil.NoSuchProcess:
                continue
        _, living = psutil.wait_procs(living, timeout=patience_s)


def last_error(log: Path, fallback: str = "") -> str:
    """The last line of the log that names an error, since only the inner one of vLLM's two processes says why.

    fallback: the answer if the log names none; empty: the log's last line.
    """
    try:
        lines = log.read_text(errors="replace").splitlines()[-2000:]
    except OSError:
        return fallback or "no log"
    errors = [line for line in lines if re.search(r"\b\w*(Error|Exception)\b: .", line) and "EngineDead" not in line]
    last = fallback or next((line for line in reversed(lines) if line.strip()), "the log is empty")
    chosen = errors[-1] if errors else last
    return re.sub(r"^(\(\w+ pid=\d+\) )?(\w+ [\d-]+ [\d:]+ \[[^\]]*\] )?", "", chosen).strip()[:300]


def died(log: Path, doing: str) -> PoolError:
    """The error for an engine that is gone."""
    time.sleep(0.2)  # the child's last words may still be on their way to the file
    return PoolError(
        f"the vLLM engine died while {doing}: {last_error(log)}",
        f"its whole log is {log}; a smaller pool.kv_cache_gb or pool.max_num_seqs needs less memory",
    )


def check_platform() -> None:
    """Raises PoolError where vLLM can't run or is not installed."""
    import importlib.util

    if importlib.util.find_spec("vllm") is None:
        hint = "install superalign[vllm], or set `pool: {type: transformers}`"
        raise PoolError(f"vLLM is not installed for {sys.executable}", hint)
