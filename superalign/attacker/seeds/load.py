"""Seeds, and the strategies that come with them, from anyone's files; every fault of every file at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from superalign.attacker.options import SeedFile
from superalign.attacker.seeds.readers import FORMATS, read_file
from superalign.attacker.seeds.row_to_seed import Content, Entry, RowReader, SeedRow
from superalign.attacker.strategies.chain import PromptStrategy
from superalign.attacker.strategies.load import load_strategies, load_strategy, strategy_from_text
from superalign.attacker.strategies.multi_turn import REPLAY, Replay
from superalign.attacker.strategies.protocol import Strategy
from superalign.errors import PromptFileError
from superalign.files.find import prompt_path
from superalign.files.hub_datasets import hub_file
from superalign.files.yaml_lines import Faults, nearest
from superalign.records.rollout import Seed

_ID = re.compile(r"[\w.~-]+")  # ids become parts of attack ids, which slashes divide
_NO_PROMPTS = re.compile(r"(readme|licen[cs]e|changelog)\b.*|\..*", re.IGNORECASE)


class Reserved:
    """A strategy for the seeds that ask for it, and no others."""

    def __init__(self, strategy: Strategy) -> None:
        self.name, self.sha256, self.files = strategy.name, strategy.sha256, strategy.files
        self.asks_model, self.step = strategy.asks_model, strategy.step

    def applies(self, seed: Seed) -> bool:
        """Whether the seed names it."""
        return seed.strategy == self.name


@dataclass
class Loaded:
    """What files of seeds came to."""

    seeds: list[Seed] = field(default_factory=list)
    """Look-alikes behind their parents."""
    reserved: dict[str, Strategy] = field(default_factory=dict)
    """Strategies of single seeds, by name: their own templates, known ones that they ask for, `replay` of turns."""
    templates: list[PromptStrategy] = field(default_factory=list)
    """Templates without a goal: strategies for any seed."""
    files: dict[str, Path] = field(default_factory=dict)
    """Path in the recipe or folder, or name of the data set -> file."""
    notices: list[str] = field(default_factory=list)
    """What was left out, and the reason why that is no fault."""


def load_seeds(
    files: Sequence[SeedFile | str], base_dir: Path | None = None, own_hazards: Collection[str] = ()
) -> Loaded:
    """All seeds of all files; raises PromptFileError with every fault.

    own_hazards: what a row may name as its hazard besides those of the taxonomy.
    """
    loader = _Loader(base_dir, own_hazards)
    for file in (SeedFile(path=file) if isinstance(file, str) else file for file in files):
        loader.load(file)
    return loader.finish()


def _files_of(file: SeedFile, base_dir: Path | None) -> dict[str, Path]:
    """The files behind an entry of a recipe, by name; raises PromptFileError if there are none."""
    if file.on_hub:
        return {file.path: hub_file(file.path)}
    path = prompt_path(file.path, base_dir)
    if not path.is_dir():
        return {file.path: path}
    inside = [
        child for child in sorted(path.rglob("*"))
        if child.is_file() and child.suffix.lower() in FORMATS and not _NO_PROMPTS.fullmatch(child.name)
    ]  # fmt: skip
    if not inside:
        raise PromptFileError(f"{path}: no prompt files in this folder", "put files in it: " + ", ".join(FORMATS))
    return {f"{file.path.rstrip('/')}/{child.relative_to(path).as_posix()}": child for child in inside}


def _normal(text: str) -> str:
    """Lower case, single spaces, no closing punctuation: equal for texts a reader calls the same."""
    return " ".join(text.lower().split()).rstrip(".!?")


class _Loader:
    def __init__(self, base_dir: Path | None, own_hazards: Collection[str]) -> None:
        self.base_dir, self.loaded, self.faults = base_dir, Loaded(), Faults()
        self.own_hazards = own_hazards
        self.places: dict[object, str] = {}
        """What may be there once only -> where it was."""
        self.parents: set[str] = set()
        self.children: list[tuple[str, Seed]] = []
        """With the place where each stands."""
        self.stems: dict[str, int] = {}
        self.templates: dict[tuple[str, str], str] = {}
        """(template of a row, its front matter) -> the strategy's name."""
        self.asked: dict[str, Strategy | str] = {}
        """Name of a strategy -> what it is, or what is wrong with it."""

    def load(self, file: SeedFile) -> None:
        """Every file behind an entry."""
        try:
            files = _files_of(file, self.base_dir)
        except PromptFileError as error:
            self.faults.lines.append(str(error))
            return
        loaded, before = self.loaded, len(self.faults.lines)
        count, noted = len(loaded.seeds) + len(loaded.templates), len(loaded.notices)
        for name, path in files.items():
            self._file(name, path, file)
            loaded.files[name] = path
        if count == len(loaded.seeds) + len(loaded.templates) and before == len(self.faults.lines):
            reasons = "".join(f"\n{notice}" for notice in loaded.notices[noted:])
            self.faults.lines.extend(f"{file.path}: nothing in it can be used{reasons}".splitlines())

    def finish(self) -> Loaded:
        """All that was loaded; raises PromptFileError with every fault."""
        self.faults.lines.extend(
            f"{place}: parent {seed.parent} of {seed.id} is no harmful seed; {nearest(str(seed.parent), self.parents)}"
            for place, seed in self.children
            if seed.parent not in self.parents
        )
        self.faults.raise_if_any()
        if any(seed.turns for seed in self.loaded.seeds):
            self.loaded.reserved[REPLAY] = Replay()
        return self.loaded

    def _file(self, name: str, path: Path, file: SeedFile) -> None:
        stem = re.sub(r"[^\w.~-]+", "-", name.removeprefix("hub:") if file.on_hub else Path(name).stem).strip("-")
        self.stems[stem] = self.stems.get(stem, 0) + 1
        if self.stems[stem] > 1:
            stem = f"{stem}-{self.stems[stem]}"
        try:
            content = read_file(path, file, self.faults)
            self._templates(path, content, stem)
        except PromptFileError as error:
            self.faults.lines.extend(str(error).splitlines())
            return
        notices, entries = self.loaded.notices, content.entries
        notices.extend(content.notices)
        says = any(entry.values.get("intent") or entry.guess.get("intent") for entry in entries)
        if entries and file.intent is None and not says:
            hint = (
                "add it to the rows, or `intent: harmful` or `benign` to the file's entry in the recipe"
                " (`--set intent=...` on the command line)"
            )
            self.faults.add(path, entries[0].line, "intent is missing in every row", hint)
            file = file.model_copy(update={"intent": "harmful"})  # so that other faults are found as well
        strangers: dict[str, int] = {}
        repeated = 0
        lenient = content.foreign or file.on_hub or bool(file.columns)  # who names columns did not write the rows
        for entry in entries:
            reader = RowReader(path, entry, file, self.faults, strangers, self.own_hazards)
            row = reader.read(f"{stem}-{entry.number:04d}")
            if row is None or not self._with_strategy(path, entry, row, stem):
                continue
            for seed in self._seeds(path, entry, row):
                key = ("goal", _normal(seed.goal), seed.strategy, seed.turns)
                if lenient and key in self.places:
                    repeated += 1
                elif self._once(("id", seed.id), path, entry.line, f"id of {seed.id}") and self._once(
                    key, path, entry.line, f"goal of {seed.id}"
                ):
                    self.loaded.seeds.append(seed)
        if repeated:
            notices.append(f"{path}: {repeated} goals that were there already are left out")
        if strangers:
            listed = ", ".join(f"{category} ({count})" for category, count in strangers.items())
            notices.append(f"{path}: no hazard of ours for {listed}")

    def _templates(self, path: Path, content: Content, stem: str) -> None:
        """Templates that any seed may use; raises PromptFileError."""
        for template in content.templates:
            if template.text is None:
                strategy = load_strategy(path)
            else:
                strategy = strategy_from_text(stem, template.text, path, template.line, **template.meta)
            if self._once(("strategy", strategy.name), path, template.line, f"a strategy {strategy.name}"):
                self.loaded.templates.append(strategy)

    def _once(self, key: object, path: Path, line: int, what: str) -> bool:
        if key in self.places:
            self.faults.add(path, line, f"{what} was already given in {self.places[key]}", "remove one")
            return False
        self.places[key] = f"{path}:{line}"
        return True

    def _with_strategy(self, path: Path, entry: Entry, row: SeedRow, stem: str) -> bool:
        """Settle the name of the strategy that a row brings or asks for; False: there is a fault in it."""
        asked, template = row.fields["strategy"], row.template
        line = entry.line_of(("template" if template else "strategy",))
        if template is not None and asked is not None:
            self.faults.add(path, line, "a row has a template and names a strategy", "remove one")
            return False
        if template is not None:
            key = (template, repr(sorted(entry.meta.items())))
            if key not in self.templates:
                name = f"{stem}-{entry.number:04d}"
                try:
                    strategy = strategy_from_text(name, template, path, line, **entry.meta)
                except PromptFileError as error:
                    self.faults.lines.extend(str(error).splitlines())
                    return False
                self.templates[key], self.loaded.reserved[name] = name, Reserved(strategy)
            row.fields["strategy"] = self.templates[key]
        elif asked is not None:
            if asked not in self.asked:
                try:
                    self.asked[asked] = load_strategies([asked], self.base_dir)[asked]
                except PromptFileError as error:
                    self.asked[asked] = str(error)
            known = self.asked[asked]
            if isinstance(known, str):
                self.faults.add(path, line, known)
                return False
            self.loaded.reserved[asked] = Reserved(known)
        return True

    def _seeds(self, path: Path, entry: Entry, row: SeedRow) -> Iterator[Seed]:
        """The row's seed, then its look-alikes."""
        seed = Seed.model_validate(row.fields)
        if not _ID.fullmatch(seed.id):
            what = f"id {seed.id!r} holds a character other than letters, digits and . _ ~ -"
            self.faults.add(path, entry.line_of(("id",)), what)
            return
        if seed.intent == "harmful":
            self.parents.add(seed.id)
        if seed.parent is not None:
            self.children.append((f"{path}:{entry.line_of(('parent',))}", seed))
        yield seed
        if row.lookalikes and seed.intent != "harmful":
            line = entry.line_of(("lookalikes",))
            self.faults.add(path, line, f"{seed.id} is benign and has lookalikes", "give them to a harmful seed")
            return
        for number, goal in enumerate(row.lookalikes, 1):
            own = {"id": f"{seed.id}~{number}", "goal": goal, "intent": "benign", "parent": seed.id, "turns": ()}
            yield seed.model_copy(update=own)
