"""Values that change: each round is played, judged, measured and compared under the version that holds in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from superalign.critic.constitution import Constitution, difference
from superalign.loop.plan import Plan
from superalign.loop.round_log import RoundLog
from superalign.protocols import Critic, DropError, Sampling
from superalign.records.evaluation import Promotion
from superalign.records.exchange import Exchange
from superalign.records.rollout import Attack, Generation, Messages
from superalign.records.training import Checkpoint, Demonstration, PreferencePair
from superalign.store.atomic import write_json
from superalign.store.journal import Journal, read_records
from superalign.store.round_folder import RoundFolder, round_of
from superalign.store.run_folder import RunFolder
from superalign.values.items import ValueItem, ValuesOptions
from superalign.values.metrics import ValueResult, ValuesReport, checks, figures, with_values
from superalign.values.replay import Replayed, counted, past_examples, rejudged


class ConstitutionChange:
    """How each round keeps the principles of the version that holds in it."""

    def __init__(self, plan: Plan, options: ValuesOptions, folder: RunFolder, log: RoundLog) -> None:
        self.plan, self.options, self.folder, self.log = plan, options, folder, log
        self.constitution = plan.inputs.versions[0][1]
        """The version that critic and judge decide by now."""
        self._judges: dict[str, Critic] = {}

    async def begin(self, number: int) -> None:
        """Have the round played and judged by its own version."""
        version = self._span(number)[1]
        if version != self.constitution:
            self.log.observer.notice(f"round {number}: constitution {version.version} holds")
            await self.plan.switch(version)
            self.constitution = version

    def switches(self, number: int) -> bool:
        """Whether a new version begins with this round."""
        return self.since(number) == number

    def since(self, number: int) -> int:
        """The round with which the version of this one began to hold; 0: it is the first."""
        start = self._span(number)[0]
        return start if start > 1 else 0

    def parent(self, number: int, incumbent: Checkpoint) -> Checkpoint:
        """What a round's training starts from."""
        return self.plan.base if self.switches(number) and self.options.on_switch == "scratch" else incumbent

    async def replay(self, round_folder: RoundFolder) -> None:
        """Judge every past example anew; the newest of a request counts, for it is what was learned last."""
        if not self.switches(round_folder.number) or self.options.on_switch == "naive":
            return
        with Journal(round_folder.replay, Replayed) as journal:
            done = {replayed.id for replayed in journal}
            past = list(self._past(round_folder.number))
            with self.log.phase("replay", len(past), len(done)):
                critic = self.plan.critic
                for attack, example in past:
                    if example.id not in done:
                        journal.append(await rejudged(example, attack, critic, self.plan.recipe.pairing))
                        self.log.observer.advance()
        counts = counted(read_records(round_folder.replay, Replayed))
        self.log.observer.notice(
            f"round {round_folder.number}: of {len(past)} past examples {counts.held} hold under the new version, "
            f"{counts.flipped} were turned round, {counts.dropped} dropped"
        )

    def replayed(self, round_folder: RoundFolder) -> Iterator[Demonstration | PreferencePair]:
        """The past examples that are trained on again."""
        for replayed in read_records(round_folder.replay, Replayed):
            yield from (example for example in (replayed.demonstration, replayed.pair) if example is not None)

    async def measure_base(self, round_folder: RoundFolder, model: str) -> None:
        """What the base model keeps of the first version."""
        await self.measure(round_folder, model)
        results = self._read(round_folder.values_items)
        write_json(
            round_folder.values_json,
            figures(results, results, (), version=self.constitution.version, before=None, moved=()),
        )

    async def measure(self, round_folder: RoundFolder, model: str) -> None:
        """The served checkpoint's replies to the held-out requests, judged by this version and the one before."""
        judges = await self._judging(round_folder.number)
        with Journal(round_folder.values_items, ValueResult) as journal:
            done = {result.item for result in journal}
            sampling = Sampling(max_tokens=self.options.max_tokens)

            async def answer(item: ValueItem) -> None:
                [reply] = await self.plan.pool.generate(model, item.messages, sampling)
                journal.append(await judged(item, reply, judges))
                self.log.observer.advance()

            items, at_once = self.plan.inputs.value_items, self.plan.recipe.max_walks
            waiting = [item for item in items if item.id not in done]
            await self.log.work_off(waiting, answer, at_once, ("values", len(items), len(done)))

    async def decide(self, round_folder: RoundFolder, incumbent: Checkpoint, decision: Promotion) -> Promotion:
        """The gate's decision, heeding values; writes `values.json`."""
        report = await self._report(round_folder, incumbent)
        write_json(round_folder.values_json, report)
        return with_values(decision, checks(report, self.options), alone=not self.plan.inputs.suites)

    async def _report(self, round_folder: RoundFolder, incumbent: Checkpoint) -> ValuesReport:
        start, version = self._span(round_folder.number)
        before = self._before(start)
        settled: list[ValueResult] = []
        if before is not None:
            if start == round_folder.number:
                await self._rejudge(round_folder, incumbent)
            settled = self._read(self.folder.round(start).values_rejudged)
        stands = round_of(incumbent)
        theirs = self._read(self.folder.round(stands).values_items) if stands >= start or not settled else settled
        return figures(
            self._read(round_folder.values_items), theirs, settled, version=version.version,
            before=before.version if before else None, moved=difference(before, version).moved if before else (),
        )  # fmt: skip

    async def _rejudge(self, round_folder: RoundFolder, incumbent: Checkpoint) -> None:
        """The replies of the checkpoint that stands when a version begins, judged by it."""
        stood = self.folder.round(round_of(incumbent))
        judges, items = (
            await self._judging(round_folder.number),
            {item.id: item for item in self.plan.inputs.value_items},
        )
        with Journal(round_folder.values_rejudged, ValueResult) as journal:
            done = {result.item for result in journal}
            for result in self._read(stood.values_items):
                if result.item not in done:
                    journal.append(await judged(items[result.item], result.reply, judges))

    async def _judging(self, number: int) -> dict[str, tuple[Constitution, Critic]]:
        start, version = self._span(number)
        judges = {}
        for constitution in (version, self._before(start)):
            if constitution is not None:
                if constitution.version not in self._judges:
                    self._judges[constitution.version] = await self.plan.value_judge(constitution)
                judges[constitution.version] = constitution, self._judges[constitution.version]
        return judges

    def _span(self, number: int) -> tuple[int, Constitution]:
        """The version of a round, and the round from which it holds."""
        return next(span for span in reversed(self.plan.inputs.versions) if span[0] <= max(1, number))

    def _before(self, start: int) -> Constitution | None:
        return self._span(start - 1)[1] if start > 1 else None

    def _past(self, number: int) -> Iterator[tuple[Attack, Demonstration | PreferencePair]]:
        taken: set[tuple[type, Messages]] = set()
        for earlier in reversed(range(1, number)):
            round_folder = self.folder.round(earlier)
            examples = past_examples(
                read_records(round_folder.exchanges, Exchange),
                read_records(round_folder.demonstrations, Demonstration),
                read_records(round_folder.pairs, PreferencePair),
            )
            for attack, example in examples:
                if (type(example), example.prompt) not in taken:
                    taken.add((type(example), example.prompt))
                    yield attack, example

    def _read(self, path: Path) -> list[ValueResult]:
        return sorted(read_records(path, ValueResult), key=lambda result: result.item)


async def judged(item: ValueItem, reply: Generation, judges: Mapping[str, tuple[Constitution, Critic]]) -> ValueResult:
    """A reply with its score under every version that has the item's principle."""
    scores: dict[str, float | None] = {}
    for version, (constitution, judge) in judges.items():
        if all(principle.id != item.principle for principle in constitution.principles):
            continue
        scores[version] = await _score(item, reply, judge)
    return ValueResult(item=item.id, principle=item.principle, prompt=item.messages, reply=reply, scores=scores)


async def _score(item: ValueItem, reply: Generation, judge: Critic) -> float | None:
    """How far a reply keeps the item's principle; the verdict's own score where the judge gives none by principle."""
    try:
        verdict = (await judge.critique(item.response(reply))).verdict
    except DropError:
        return None
    return next((p.score for p in verdict.principles if p.id == item.principle), verdict.score)
