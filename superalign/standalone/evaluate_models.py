"""Models, one after the other, through the same held-out suites; then each against the first."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from superalign.assembly.critics import Critics
from superalign.assembly.engines import Engines, outside
from superalign.config.critic_calibration import error_rates, fingerprint
from superalign.config.inputs import Inputs
from superalign.config.recipe import Recipe, RoleModel
from superalign.critic.options import CriticOptions, critic_given
from superalign.critic.quality.report import Calibration, load_calibration
from superalign.errors import RecipeError
from superalign.evaluation.evaluator import MAX_REQUESTS, SuiteEvaluator, as_response
from superalign.evaluation.items import Suite
from superalign.evaluation.lm_eval import digests
from superalign.evaluation.metrics import Asks, Errors
from superalign.evaluation.options import EvaluationOptions, LmEvalOptions, SuiteSource
from superalign.evaluation.paired_comparison import Compared, ReferenceItem, compare, gathered, outcomes
from superalign.files.hashes import sha256_bytes, sha256_file
from superalign.models.packaged import resolve as resolve_model
from superalign.pool.options import PoolOptions
from superalign.protocols import Comparer, Critic, DropError, InferencePool, Observer
from superalign.records.evaluation import Evaluation, ItemResult
from superalign.records.training import Checkpoint
from superalign.standalone.evaluation_folder import EvaluationFolder, EvaluationKey
from superalign.store.atomic import canonical, sha256_adapter, sha256_tree
from superalign.store.journal import Journal, read_records

COMPARED_KINDS = ("lookalike", "ordinary")
"""Kinds of suites where the judge is asked for the more helpful of two replies."""


@dataclass(frozen=True)
class Subject:
    """A model to measure."""

    name: str
    model: str
    """A known name, a folder or a hub id."""
    adapter: Path | None = None


@dataclass(frozen=True)
class EvaluationSettings:
    """What every model is asked, and who judges its replies."""

    options: EvaluationOptions
    judge: str | CriticOptions
    """A kind of critic (`rules`, `probe`, ...), a YAML file with a critic's options, or the options themselves."""
    pool: PoolOptions
    calibration: Path | None = None
    """Of the judge, for corrected shares."""
    own_judge: Critic | None = None
    """Judges instead of `judge`."""
    own_pool: InferencePool | None = None
    """Serves every model instead of `pool`; whoever made it closes it."""

    @property
    def judge_name(self) -> str:
        """What tables call the judge."""
        return "own" if self.own_judge else self.judge if isinstance(self.judge, str) else self.judge.type


def question_of(
    suites: Sequence[str | SuiteSource],
    plain_text: str | None = None,
    lm_eval: Sequence[str] = (),
    max_tokens: int = 32,
    samples: int = 1,
    temperature: float | None = None,
) -> EvaluationOptions:
    """What is asked; temperature: None is greedy, or 1 with several samples. Raises RecipeError for what can't be."""
    if not suites and not plain_text and not lm_eval:
        raise RecipeError("nothing to measure", "name a --suite (harmful, lookalike, ...), --plain-text or --lm-eval")
    try:
        return EvaluationOptions(
            suites=tuple(suites), plain_text=plain_text, max_tokens=max_tokens, samples=samples,
            temperature=temperature if temperature is not None else float(samples > 1),
            lm_eval=LmEvalOptions(tasks=tuple(lm_eval)) if lm_eval else None,
        )  # fmt: skip
    except ValidationError as error:
        raise RecipeError(f"--{error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def subjects_of(models: Sequence[str | Subject]) -> list[Subject]:
    """`[NAME=]M[+ADAPTER]` as models with names of their own; raises RecipeError for fewer than two, or equal names."""
    subjects = [_subject(spec) if isinstance(spec, str) else spec for spec in models]
    if len(subjects) < 2:
        raise RecipeError("--model: one model is compared with nothing", "name at least two, or use `superalign eval`")
    twins = [name for name, count in Counter(one.name for one in subjects).items() if count > 1]
    if twins:
        raise RecipeError(f"--model: two are called {twins[0]}", "give them names: --model NAME=MODEL+ADAPTER")
    return subjects


def _subject(spec: str) -> Subject:
    named = re.fullmatch(r"([\w.-]+)=(.+)", spec)
    model, _, adapter = (named[2] if named else spec).partition("+")
    return Subject(named[1] if named else Path(adapter or model).name, model, Path(adapter) if adapter else None)


async def measure(subject: Subject, question: EvaluationSettings, out: Path, observer: Observer) -> Evaluation:
    """One model, in the folder `out`; goes on where an earlier call stopped."""
    sitting = Sitting.of([subject], question, observer)
    with closing(EvaluationFolder(out, sitting.asked(subject))) as folder:
        if folder.finished is not None:
            return folder.finished
        async with sitting.started():
            return await sitting.measure(subject, folder)


async def measure_all(
    subjects: Sequence[Subject], question: EvaluationSettings, out: Path, observer: Observer
) -> tuple[list[Evaluation], list[Compared]]:
    """Every model in a folder of its name under `out`, and each but the first against the first."""
    sitting, first = Sitting.of(subjects, question, observer), subjects[0]
    with ExitStack() as stack:
        folders = {
            s.name: stack.enter_context(closing(EvaluationFolder(out / s.name, sitting.asked(s)))) for s in subjects
        }
        async with sitting.started():
            evaluations = [folders[s.name].finished or await sitting.measure(s, folders[s.name]) for s in subjects]
            for subject in subjects[1:]:
                await sitting.against(first, subject, folders[first.name], folders[subject.name])
        kinds = {suite.suite: suite.kind for suite in evaluations[0].suites}
        items = {name: outcomes(read_records(f.items, ItemResult), kinds) for name, f in folders.items()}
        against = {name: gathered(read_records(f.against, ReferenceItem)) for name, f in folders.items()}
        others = [(s.name, evaluation) for s, evaluation in zip(subjects[1:], evaluations[1:], strict=True)]
        return evaluations, compare(evaluations[0], others, items, against, name=first.name)


@dataclass
class Sitting:
    """One engine for each base, one judge for all; nothing is started before it is needed."""

    recipe: Recipe
    inputs: Inputs
    question: EvaluationSettings
    calibration: Calibration | None
    observer: Observer
    _engines: Engines | None = field(default=None, init=False)
    _judge: Critic | None = field(default=None, init=False)

    @classmethod
    def of(cls, subjects: Sequence[Subject], question: EvaluationSettings, observer: Observer) -> Sitting:
        """Load every file; raises PromptFileError, and RecipeError if the calibration is of another judge."""
        here = Path.cwd()
        judging = critic_given(question.judge, here) if isinstance(question.judge, str) else question.judge
        recipe = Recipe.model_validate(
            {"name": "eval", "model": subjects[0].model, "pool": question.pool, "critic": judging, "judge": judging,
             "evaluation": question.options, "allow_same_judge": True}
        )  # fmt: skip
        calibration = load_calibration(question.calibration) if question.calibration else None
        if calibration and calibration.fingerprint != fingerprint(recipe, here, "judge"):
            what = f"--calibration: {question.calibration} is of another judge, or of this one before it changed"
            raise RecipeError(
                what, "measure this one with `superalign critic calibrate RECIPE --labels FILE --out FILE`"
            )
        return cls(recipe, Inputs.for_judging(recipe, here), question, calibration, observer)

    def asked(self, subject: Subject) -> EvaluationKey:
        """Everything that a subject's figures depend on."""
        base, options, inputs = resolve_model(subject.model), self.question.options, self.inputs
        own = self.question.own_judge
        return EvaluationKey(
            model=subject.model,
            model_sha256=sha256_tree(base) if isinstance(base, Path) else None,
            adapter_sha256=sha256_adapter(subject.adapter) if subject.adapter else None,
            suites={  # wherever the suite's file lies
                suite.name: sha256_bytes(canonical(suite.model_copy(update={"file": ""}))) for suite in inputs.suites
            },
            plain_text=inputs.plain_text.sha256 if inputs.plain_text else None,
            lm_eval=options.lm_eval.model_dump(mode="json") | digests(options.lm_eval) if options.lm_eval else None,
            judge_sha256=f"own: {type(own).__qualname__}" if own else fingerprint(self.recipe, Path.cwd(), "judge"),
            calibration_sha256=sha256_file(self.question.calibration) if self.question.calibration else None,
            max_tokens=options.max_tokens,
            temperature=options.temperature,
            samples=options.samples,
            seed=options.seed,
            pool=self.question.pool.model_dump(mode="json"),
        )

    @asynccontextmanager
    async def started(self) -> AsyncIterator[None]:
        """Engines may start inside the block, and stop when it ends."""
        async with outside(self.recipe.pool) as engines:
            self._engines = engines
            yield

    async def measure(self, subject: Subject, folder: EvaluationFolder) -> Evaluation:
        """Every reply that is not in the folder yet, and what all of them come to."""
        engine, name = await self._serve(subject)
        self.observer.watch(engine.stats)
        errors: dict[Asks, Errors] = {}
        for fault in ("harm", "refusal") if self.calibration else ():
            if self.calibration and (rates := error_rates(self.calibration, fault)):
                errors[fault] = rates
        evaluator = SuiteEvaluator(
            engine, await self._judged_by(), self.question.judge_name, self.inputs.suites, self.inputs.plain_text,
            self.question.options, judge_errors=errors,
        )  # fmt: skip
        with Journal(folder.items, ItemResult) as journal:
            self.observer.phase(0, "evaluate", evaluator.total, journal.count)

            async def note(item: ItemResult) -> None:
                journal.append(item)
                self.observer.advance()

            began, tokens = time.monotonic(), engine.stats().generated_tokens
            checkpoint = Checkpoint(id=subject.name, base=subject.model)
            evaluation = await evaluator.evaluate(
                name, checkpoint, done=journal, on_item=note, kept=folder.path / "lm_eval"
            )
        self.observer.phase_done(time.monotonic() - began, engine.stats().generated_tokens - tokens)
        folder.finish(evaluation)
        return evaluation

    async def against(
        self, reference: Subject, subject: Subject, theirs: EvaluationFolder, ours: EvaluationFolder
    ) -> None:
        """The subject's replies under the reference's weights, and each pair of replies before the judge."""
        judge = await self._judged_by()
        comparer = judge if isinstance(judge, Comparer) else None
        same_base = resolve_model(subject.model) == resolve_model(reference.model)
        work = ReferenceComparison(self.inputs.suites, theirs.items, ours.items, ours.against, comparer)
        if not (same_base or comparer) or not work.total:
            return
        engine, other = await self._serve(reference)
        name = (await self._serve(subject))[1] if same_base else None
        self.observer.watch(engine.stats)
        self.observer.phase(0, "against", work.total)
        started = time.monotonic()
        await work.run(engine, name, other, self.observer.advance)
        self.observer.phase_done(time.monotonic() - started, 0)

    async def _serve(self, subject: Subject) -> tuple[InferencePool, str]:
        assert self._engines is not None  # inside of `started`
        if self.question.own_pool is not None:
            self._engines.use(str(resolve_model(subject.model)), self.question.own_pool)
        role = RoleModel(model=subject.model, adapter=str(subject.adapter) if subject.adapter else None)
        return await self._engines.role(role, subject.model)

    async def _judged_by(self) -> Critic:
        if self.question.own_judge is not None:
            return self.question.own_judge
        if self._judge is None:
            assert self._engines is not None
            base = str(resolve_model(self.recipe.model))
            critics = Critics(self.recipe, self.inputs, Path.cwd(), self._engines, base)
            self._judge = await critics.build(self.recipe.judge, RoleModel())
        return self._judge


class ReferenceComparison:
    """What is left to do of one model against the reference; replies are read from disk as they are needed."""

    def __init__(
        self, suites: Sequence[Suite], theirs: Path, ours: Path, target: Path, comparer: Comparer | None
    ) -> None:
        """theirs, ours: sorted files of replies; target: what comes of it."""
        self._items = {(suite.name, item.id): (suite, item) for suite in suites for item in suite.items}
        self._theirs, self._ours, self._target, self._comparer = theirs, ours, target, comparer
        self._done = {(line.suite, line.item, line.sample) for line in read_records(target, ReferenceItem)}
        self.total = sum(1 for _ in self._waiting())
        """Replies that are left."""

    async def run(self, pool: InferencePool, model: str | None, reference: str, advance: Callable[[], None]) -> None:
        """Score and compare all that is left; model: None if the bases differ, so that nothing can be scored."""
        waiting = self._waiting()
        with Journal(self._target, ReferenceItem) as journal:

            async def worker() -> None:
                for ours, theirs in waiting:
                    journal.append(await self._compared(pool, model, reference, ours, theirs))
                    advance()

            async with asyncio.TaskGroup() as workers:
                for _ in range(min(MAX_REQUESTS, self.total)):
                    workers.create_task(worker())

    def _waiting(self) -> Iterator[tuple[ItemResult, ItemResult | None]]:
        """Both files are in the same order, so that one line of each is in memory."""
        others = read_records(self._theirs, ItemResult)
        other = next(others, None)
        for ours in read_records(self._ours, ItemResult):
            while other is not None and _place(other) < _place(ours):
                other = next(others, None)
            if _place(ours) not in self._done:
                yield ours, other if other is not None and _place(other) == _place(ours) else None

    async def _compared(
        self, pool: InferencePool, model: str | None, reference: str, ours: ItemResult, theirs: ItemResult | None
    ) -> ReferenceItem:
        tokens = logprob = other = None
        if model is not None and ours.reply.text:
            own, base = await asyncio.gather(
                *(
                    pool.score(name, ours.prompt, ours.reply.text, end=ours.reply.complete)
                    for name in (model, reference)
                )
            )
            tokens, logprob, other = len(own.token_logprobs), own.total, base.total
        win, why = await self._win(ours, theirs)
        return ReferenceItem(
            suite=ours.suite, item=ours.item, sample=ours.sample, tokens=tokens, logprob=logprob,
            reference_logprob=other, win=win, why=why,
        )  # fmt: skip

    async def _win(self, ours: ItemResult, theirs: ItemResult | None) -> tuple[float | None, str]:
        """How far ours is better, or why the judge does not say so."""
        suite, item = self._items[ours.suite, ours.item]
        if self._comparer is None or theirs is None or suite.kind not in COMPARED_KINDS or ours.prompt != theirs.prompt:
            return None, ""
        a, b = (as_response(suite, item, one.prompt, one.reply, k) for k, one in enumerate((ours, theirs)))
        try:
            return await self._comparer.compare(a, b), ""
        except DropError as error:
            return None, str(error)


def _place(result: ItemResult) -> tuple[str, str, int]:
    return result.suite, result.item, result.sample
