"""Tasks of the lm-eval library, asked through the pool: capability as others measure it."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from superalign.errors import PromptFileError, RecipeError
from superalign.evaluation.options import LmEvalOptions
from superalign.files.hashes import sha256_file
from superalign.files.yaml_lines import load_yaml_with_lines
from superalign.protocols import InferencePool, Sampling
from superalign.records.evaluation import TaskFigure

T = TypeVar("T")
MAX_REQUESTS = 64
"""Requests of a task under way at once."""
RESAMPLES = 1000
"""Resamples of lm-eval's bootstrap, for the errors that it has no formula for."""


async def figures(
    pool: InferencePool, model: str, options: LmEvalOptions, kept: Path | None = None
) -> list[TaskFigure]:
    """Every figure of every task, by name; raises RecipeError if lm-eval or a task is missing.

    kept: begin of the name of a file where lm-eval keeps the answers, so that none is asked for twice (sampled ones
    are); None: nowhere.
    """
    if importlib.util.find_spec("lm_eval") is None:
        raise RecipeError("evaluation.lm_eval: lm-eval is not installed", "pip install 'superalign[lm-eval]'")
    tasks = [_task(name) for name in options.tasks]
    loop = asyncio.get_running_loop()

    def wait(work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    results = await asyncio.to_thread(_run, wait, pool, model, tasks, options.limit, kept)
    return sorted(_figures(results), key=lambda figure: (figure.task, figure.metric))


def digests(options: LmEvalOptions) -> dict[str, str]:
    """Hash of each file that the tasks are read from, their data included; names that lm-eval knows have none."""
    hashes: dict[str, str] = {}
    for name in options.tasks:
        task = _task(name)
        data = task.get("dataset_kwargs", {}).get("data_files", ()) if isinstance(task, dict) else ()
        for file in [name, *_flat(data)] if isinstance(task, dict) else ():
            if Path(file).is_file():
                hashes[file] = sha256_file(Path(file))
    return hashes


def _task(name: str) -> str | dict[str, Any]:
    """A name as it is; a file's content, the paths of its data files relative to its folder."""
    if not name.endswith((".yaml", ".yml")):
        return name
    path = Path(name)
    data = load_yaml_with_lines(path).data
    if not isinstance(data, dict) or not data.get("task"):
        raise PromptFileError(f"{path}:1: no task of lm-eval", "write `task: NAME` and what else lm-eval's tasks have")
    files = data.get("dataset_kwargs", {}).get("data_files")
    more = {"dataset_kwargs": data["dataset_kwargs"] | {"data_files": _beside(path, files)}} if files else {}
    return data | more


def _beside(path: Path, files: Any) -> Any:
    """A name, a list of names, or either by split, as `datasets` takes them."""
    if isinstance(files, dict):
        return {split: _beside(path, part) for split, part in files.items()}
    return [str(path.parent / file) for file in files] if isinstance(files, list) else str(path.parent / files)


def _flat(files: Any) -> list[str]:
    if isinstance(files, str):
        return [files]
    return [name for part in (files.values() if isinstance(files, dict) else files) for name in _flat(part)]


def _run(
    wait: Callable[[Any], Any], pool: InferencePool, model: str, tasks: list[Any], limit: int | None, kept: Path | None
) -> Any:
    """lm-eval's own evaluation, in a thread of its own; `wait` runs a coroutine in the pool's loop."""
    from lm_eval import simple_evaluate
    from lm_eval.api.model import LM
    from lm_eval.models.utils import normalize_gen_kwargs
    from lm_eval.tasks import TaskManager

    class PoolLM(LM):  # type: ignore[misc]
        """lm-eval's model interface over a pool; texts stand as they are, without a chat template."""

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            async def one(context: str, continuation: str) -> tuple[float, bool]:
                kept = context.rstrip()  # spaces belong to the continuation, as in lm-eval's TemplateLM
                score = await pool.score(model, kept, context[len(kept) :] + continuation)
                return score.total, score.greedy

            return self._all("loglikelihood", requests, one)

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            async def one(text: str) -> float:
                return (await pool.score(model, "", text)).total

            return self._all("loglikelihood_rolling", requests, one)

        def generate_until(self, requests: list[Any]) -> list[str]:
            async def one(context: str, arguments: dict[str, Any]) -> str:
                how = normalize_gen_kwargs(arguments)
                sampling = Sampling(
                    temperature=how.get("temperature", 0.0) if how["do_sample"] else 0.0,
                    top_p=how.get("top_p", 1.0),
                    max_tokens=how["max_gen_toks"],
                    seed=0,
                    stop=tuple(stop for stop in how["until"] if stop),
                )
                [reply] = await pool.generate(model, context, sampling)
                return reply.text

            return self._all("generate_until", requests, one)

        def _all(self, verb: str, requests: list[Any], one: Callable[..., Awaitable[T]]) -> list[T]:
            async def noted(*args: Any) -> T:
                answer = await one(*args)
                self.cache_hook.add_partial(verb, args, answer)
                return answer

            return list(wait(_bounded(requests, noted)))

    inline = all(isinstance(task, dict) for task in tasks)
    try:
        return simple_evaluate(
            PoolLM(), tasks=tasks, limit=limit, bootstrap_iters=RESAMPLES, log_samples=False,
            task_manager=TaskManager(include_defaults=not inline), use_cache=str(kept) if kept else None,
        )  # fmt: skip
    except (KeyError, ValueError, OSError) as error:  # OSError: what the hub or a file answers
        what = f"evaluation.lm_eval: lm-eval could not run the tasks: {type(error).__name__}: {error!s:.300}"
        raise RecipeError(what, "check their names, and whether their data can be reached from here") from error


async def _bounded(requests: Sequence[Any], one: Callable[..., Awaitable[T]]) -> list[T]:
    gate = asyncio.Semaphore(MAX_REQUESTS)

    async def gated(request: Any) -> T:
        async with gate:
            return await one(*request.args)

    return await asyncio.gather(*(gated(request) for request in requests))


def _figures(results: Any) -> list[TaskFigure]:
    rows = []
    for task, values in results["results"].items():
        for key, value in values.items():
            metric, _, kind = key.partition(",")
            if not isinstance(value, int | float) or metric.endswith("_stderr") or not kind:
                continue
            error = values.get(f"{metric}_stderr,{kind}")
            rows.append(
                TaskFigure(
                    task=task, metric=metric if kind == "none" else key, value=float(value),
                    stderr=float(error) if isinstance(error, int | float) else None,
                    n=results["n-samples"][task]["effective"],
                )
            )  # fmt: skip
    return rows
