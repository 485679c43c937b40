"""The verbs of the command line as functions, for scripts, tests and notebooks."""

from __future__ import annotations

import asyncio
import contextvars
import json
import re
import signal
import tempfile
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar, Unpack

import yaml
from pydantic import BaseModel, PrivateAttr, TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from superalign.api import start_resume
from superalign.api.run_view import Round, Run, open_run
from superalign.assembly import plan as build
from superalign.assembly.plan import Parts
from superalign.config import recipe as recipes
from superalign.config.critic_calibration import Who
from superalign.config.recipe import Recipe
from superalign.critic.options import CriticOptions
from superalign.critic.quality.labelled_replies import load_labels
from superalign.critic.quality.report import Calibration
from superalign.errors import RecipeError, SuperalignError
from superalign.evaluation.load_suites import kind_and_source, parse_source
from superalign.evaluation.options import SuiteSource
from superalign.evaluation.paired_comparison import Compared
from superalign.export.export import ExportReport
from superalign.files.find import shipped_recipes
from superalign.gate.decide import GateOptions
from superalign.gate.decide import decide as decide_promotion
from superalign.gate.paired_items import pair_items
from superalign.pool.options import PoolOptions, ScriptedOptions, pool_from_cli_name
from superalign.protocols import Attacker, Critic, InferencePool, Observer, Silent, Trainer
from superalign.records.evaluation import Evaluation, ItemResult, Promotion
from superalign.standalone.calibrate_critic import calibration
from superalign.standalone.evaluate_models import (
    EvaluationSettings,
    Subject,
    measure,
    measure_all,
    question_of,
    subjects_of,
)
from superalign.standalone.evaluation_folder import read_evaluation
from superalign.standalone.export_checkpoint import export_checkpoint
from superalign.store.atomic import write_json
from superalign.store.run_folder import RunFolder

T = TypeVar("T")
RecipeLike = Recipe | Mapping[str, Any] | str | Path
"""A recipe, its fields as a mapping, a file, or the name of one that superalign ships."""
EvaluationSource = str | Path | Round | tuple[Evaluation, Iterable[ItemResult]]
"""The folder of an evaluation, a round of a run, or figures with the replies that they are of."""


class LoadedRecipe(Recipe):
    """A recipe that knows its text and the folder of the files it names."""

    _text: str = PrivateAttr("")
    _base_dir: Path = PrivateAttr(default_factory=Path.cwd)


def load_recipe(
    recipe: RecipeLike, overrides: Sequence[str] | Mapping[str, Any] = (), base_dir: str | Path | None = None
) -> Recipe:
    """A checked recipe; raises RecipeError with every fault, a line each.

    overrides: `"training.seed=3"` as after `--set`, or `{"training.seed": 3}`. base_dir: the folder of the files that
    the recipe names; None: the file's own, for a mapping the working folder.
    """
    if isinstance(overrides, Mapping):
        overrides = [f"{field}={json.dumps(to_jsonable_python(value))}" for field, value in overrides.items()]
    source: Any = recipe
    if isinstance(recipe, Recipe):
        if not overrides and base_dir is None:
            return recipe
        base_dir = base_dir or _base_dir(recipe)
        source = yaml.safe_load(_text(recipe))
    if isinstance(source, Mapping):
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch, "recipe.yaml")
            path.write_text(yaml.safe_dump(to_jsonable_python(source), sort_keys=False, allow_unicode=True), "utf-8")
            try:
                return _load(path, overrides, Path(base_dir or Path.cwd()).resolve())
            except SuperalignError as error:  # lines of a file that nobody wrote
                raise type(error)(re.sub(rf"{re.escape(str(path))}:\d+: ", "", error.what), error.hint) from None
    path = Path(source)
    path = path if path.exists() else shipped_recipes().get(str(source), path)
    return _load(path, overrides, Path(base_dir or path.parent).resolve())


def run(
    recipe: RecipeLike,
    out: str | Path | None = None,
    rounds: int | None = None,
    observer: Observer | None = None,
    *,
    pool: InferencePool | None = None,
    attacker: Attacker | None = None,
    critic: Critic | None = None,
    judge: Critic | None = None,
    trainer: Trainer | None = None,
) -> Run:
    """Play a recipe in a new run folder, or go on with its run in one that is there.

    out: the run folder; None: `runs/NAME`. rounds: in all, instead of the recipe's. pool to trainer: objects of your
    own that act instead of what the recipe names; whoever made a pool closes it. A trainer's adapter must lie in the
    run folder. Ctrl-C ends it after the write in hand, `resume` goes on; a start that fails leaves no folder. Raises
    SuperalignError.
    """
    loaded, parts = load_recipe(recipe), Parts(pool, attacker, critic, judge, trainer)
    loaded, base_dir = loaded.model_copy(update={"rounds": rounds} if rounds else {}), _base_dir(loaded)
    path = Path(out) if out is not None else Path("runs") / loaded.name
    resolved, inputs = build.resolve(loaded, base_dir)
    with start_resume.opened(path, _text(loaded), resolved | start_resume.named(parts), inputs) as folder:
        start_resume.note_origin(path, base_dir / "recipe.yaml")
        wait(start_resume.play(loaded, base_dir, folder, observer or Silent(), parts))
    return open_run(path)


def resume(
    folder: str | Path,
    rounds: int | None = None,
    observer: Observer | None = None,
    *,
    recipe: str | Path | None = None,
    pool: InferencePool | None = None,
    attacker: Attacker | None = None,
    critic: Critic | None = None,
    judge: Critic | None = None,
    trainer: Trainer | None = None,
) -> Run:
    """Go on with a run that was stopped; what is finished is not done again.

    recipe: where the recipe, with its files beside it, lies now. Give the same objects of your own as to `run`.
    """
    parts = Parts(pool, attacker, critic, judge, trainer)
    found = start_resume.reopened(Path(folder), Path(recipe) if recipe else None, rounds, parts)
    with found as (kept, base_dir, run_folder):
        wait(start_resume.play(kept, base_dir, run_folder, observer or Silent(), parts))
    return open_run(folder)


def attack(
    recipe: RecipeLike,
    out: str | Path | None = None,
    observer: Observer | None = None,
    *,
    model: str | None = None,
    adapter: str | Path | None = None,
    pool: InferencePool | None = None,
    attacker: Attacker | None = None,
    critic: Critic | None = None,
) -> Run:
    """Only attack a model, with the attacks of a recipe's first round; they are `rounds[0]` of what is returned.

    out: a folder; None: `runs/NAME-attack`. model: whom to attack, instead of the recipe's. adapter: folder of a LoRA
    adapter on it. The others as in `run`.
    """
    loaded, parts = load_recipe(recipe), Parts(pool, attacker, critic)
    base_dir, lora = _base_dir(loaded), Path(adapter) if adapter else None
    text = _text(loaded := loaded.model_copy(update={"model": model} if model else {}))
    loaded = loaded.model_copy(update={"floor": None})  # nothing is trained on the critic's word
    path = Path(out) if out is not None else Path("runs") / f"{loaded.name}-attack"
    with start_resume.opened_for_attack(loaded, text, base_dir, path, lora, parts) as folder:
        wait(start_resume.attack(loaded, base_dir, folder, lora, observer or Silent(), parts))
    return open_run(path)


class EvaluationRequest(TypedDict, total=False):
    """What `evaluate` and `compare` ask of every model, and by whom the replies are judged."""

    suites: str | Sequence[str | SuiteSource | Mapping[str, Any]]
    """Held-out prompts as `superalign eval --suite` takes them: `harmful`, `lookalike:NAME=FILE.csv:50`; or sources."""
    plain_text: str
    """Passages to measure perplexity on."""
    lm_eval: Sequence[str]
    """Tasks of lm-eval."""
    judge: str | Path | Mapping[str, Any] | Critic
    """A kind of critic (default: rules), a YAML file of its options, the options, or a critic of your own."""
    calibration: str | Path
    """The judge's, from `calibrate`: shares are then corrected by its errors."""
    max_tokens: int
    samples: int
    """Replies to each prompt."""
    temperature: float
    """Default: 0, greedy; 1 with several samples."""
    pool: str | Path | Mapping[str, Any] | InferencePool
    """`auto` (the default), `vllm`, `transformers`, a YAML file of options, the options, or a pool of your own."""


def evaluate(
    model: str,
    adapter: str | Path | None = None,
    out: str | Path | None = None,
    observer: Observer | None = None,
    **asked: Unpack[EvaluationRequest],
) -> Evaluation:
    """Measure a model on held-out prompts: shares refused and complied with, perplexity where plain text is named.

    model: a known name, a folder or a hub id. adapter: folder of a LoRA adapter on it. out: a folder that keeps every
    reply with its verdict; the same call goes on there, and `decide` takes it. asked:
    see `superalign.EvaluationRequest`.
    """
    lora = Path(adapter) if adapter else None
    subject = Subject(lora.name if lora else "base", model, lora)
    with _kept(out) as folder:
        return wait(measure(subject, _question(asked), folder, observer or Silent()))


def compare(
    models: Sequence[str | Subject],
    out: str | Path | None = None,
    observer: Observer | None = None,
    **asked: Unpack[EvaluationRequest],
) -> tuple[list[Evaluation], list[Compared]]:
    """Measure several models side by side, and hold each but the first against the first with paired tests.

    models: `[NAME=]MODEL[+ADAPTER]`, or Subjects; at least two. out: a folder with one of each model's name in it.
    """
    with _kept(out) as folder:
        return wait(measure_all(subjects_of(models), _question(asked), folder, observer or Silent()))


def calibrate(
    recipe: RecipeLike,
    labels: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    who: Who = "critic",
    guarantee: tuple[float, float] | None = None,
    out: str | Path | None = None,
    observer: Observer | None = None,
) -> Calibration:
    """Hold a recipe's critic or judge against people's labels.

    labels: JSONL or CSV. columns: field (prompt, reply, harm, refusal, ...) -> its column. guarantee: (share of
    verdicts that must agree, risk). out: a file, for the recipe's `critic_calibration`.
    """
    loaded, items = load_recipe(recipe), load_labels(Path(labels), columns or {})
    measured = wait(
        calibration(
            loaded, _base_dir(loaded), Path(labels), items, who=who, guarantee=guarantee, observer=observer or Silent()
        )
    )
    if out is not None:
        write_json(Path(out), measured)
    return measured


def decide(
    candidate: EvaluationSource,
    incumbent: EvaluationSource,
    options: GateOptions | Mapping[str, Any] | None = None,
    *,
    base: EvaluationSource | None = None,
) -> Promotion:
    """The gate: whether the candidate replaces the incumbent, with every limit's figures in words.

    Both must be measured on the same suites by the same judge. base: the base model, from whose perplexity the
    candidate may not drift either.
    """
    limits = options if isinstance(options, GateOptions) else GateOptions.model_validate(options or {})
    (ours, new), (theirs, old) = _measured(candidate), _measured(incumbent)
    pairs = pair_items(old, new, ours.suites)
    return decide_promotion(ours, theirs, pairs, limits, base=_measured(base)[0] if base is not None else None)


def export_model(
    run: Run | str | Path,
    to: str | Path,
    form: Literal["merged", "adapter"] = "merged",
    *,
    round: int | None = None,
    dtype: Literal["float32", "base"] = "base",
) -> ExportReport:
    """Write a checkpoint of a run as a model of its own into the new folder `to`, and check its logits.

    round: whose checkpoint; None: the promoted one; 0: the base model. dtype: of merged weights. Raises ExportError.
    """
    with RunFolder.open(run.path if isinstance(run, Run) else Path(run), read_only=True) as folder:
        return export_checkpoint(folder, Path(to), form, round, dtype)


def wait(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; where an event loop runs already (a notebook's), in a thread with a loop of its own.

    Ctrl-C cancels it, so that every context manager in it closes, and is raised when it has ended.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main)
    cancel: Future[Callable[[], object]] = Future()

    async def cancellable() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(main)
        cancel.set_result(lambda: loop.call_soon_threadsafe(task.cancel))
        return await task

    with ThreadPoolExecutor(1, "superalign") as thread, _interruptible():
        ended = thread.submit(contextvars.copy_context().run, asyncio.run, cancellable())
        try:
            return ended.result()
        except KeyboardInterrupt:
            cancel.result()()
            ended.exception()  # waits until all is closed
            raise


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt inside the block; an event loop's own handler would wait for the block to end."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.default_int_handler) if is_main else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


def _load(path: Path, overrides: Sequence[str], base_dir: Path) -> LoadedRecipe:
    recipe, text = recipes.load_recipe(path, overrides, base_dir)
    loaded = LoadedRecipe.model_construct(_fields_set=set(recipe.model_fields_set), **dict(recipe))
    loaded._text, loaded._base_dir = text, base_dir
    return loaded


def _base_dir(recipe: Recipe) -> Path:
    return recipe._base_dir if isinstance(recipe, LoadedRecipe) else Path.cwd()


def _text(recipe: Recipe) -> str:
    """The recipe's own text, unless it was changed since it was loaded, or never was."""
    text = recipe._text if isinstance(recipe, LoadedRecipe) else ""
    try:
        if text and Recipe.model_validate(yaml.safe_load(text)).model_dump() == recipe.model_dump():
            return text
    except ValidationError:
        pass
    return yaml.safe_dump(_as_written(recipe), sort_keys=False, allow_unicode=True)


def _as_written(value: Any) -> Any:
    """The fields that were set, and the type of each thing that comes in several: what was left out stays so."""
    if isinstance(value, BaseModel):
        fields = [n for n in type(value).model_fields if n in value.model_fields_set or n == "type"]
        return {name: _as_written(getattr(value, name)) for name in fields}
    if isinstance(value, list | tuple):
        return [_as_written(part) for part in value]
    return to_jsonable_python(value)


def _question(asked: EvaluationRequest) -> EvaluationSettings:
    suites = asked.get("suites", ())
    options = question_of(
        [_source(suite) for suite in ([suites] if isinstance(suites, str) else suites)],
        *(asked.get("plain_text"), asked.get("lm_eval", ()), asked.get("max_tokens", 32)),
        *(asked.get("samples", 1), asked.get("temperature")),
    )
    judge, pool, calibration = asked.get("judge", "rules"), asked.get("pool", "auto"), asked.get("calibration")
    judging: str | CriticOptions = "rules"
    if isinstance(judge, str | Path | Mapping):
        judging = _checked(CriticOptions, judge, "judge") if isinstance(judge, Mapping) else str(judge)
    engine: PoolOptions = ScriptedOptions()
    if isinstance(pool, str | Path):
        engine = pool_from_cli_name(str(pool), Path.cwd())
    elif isinstance(pool, Mapping):
        engine = _checked(PoolOptions, pool, "pool")
    return EvaluationSettings(
        *(options, judging, engine, Path(calibration) if calibration else None),
        own_judge=None if isinstance(judge, str | Path | Mapping) else judge,
        own_pool=None if isinstance(pool, str | Path | Mapping) else pool,
    )


def _source(suite: str | SuiteSource | Mapping[str, Any]) -> SuiteSource:
    if isinstance(suite, str):
        kind, rest = kind_and_source(suite)
        return parse_source(rest, kind=kind)
    return suite if isinstance(suite, SuiteSource) else _checked(SuiteSource, suite, "suites")


def _checked(type: Any, fields: Mapping[str, Any], name: str) -> Any:
    try:
        return TypeAdapter(type).validate_python(fields)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, (name, *fault['loc'])))}: {fault['msg']}" for fault in error.errors()]
        raise RecipeError("\n".join(lines)) from None


def _measured(source: EvaluationSource) -> tuple[Evaluation, Iterable[ItemResult]]:
    if isinstance(source, tuple):
        return source
    if isinstance(source, str | Path):
        return read_evaluation(Path(source))
    if (evaluation := source.evaluation) is None:
        raise SuperalignError(f"round {source.number} is not measured yet", "name a round with an evaluation")
    return evaluation, source.evaluation_items()


@contextmanager
def _kept(out: str | Path | None) -> Iterator[Path]:
    """The folder that keeps the replies, or one that is gone when the block ends."""
    with tempfile.TemporaryDirectory(prefix="superalign-") as scratch:
        yield Path(out) if out is not None else Path(scratch)
