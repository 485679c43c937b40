"""Seeds, and the strategies that come with them, from anyone's files; every fault of every file at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from superalign.attacker.options import SeedFile
from superalign.attacker.seeds.readers import read_file
from superalign.attacker.seeds.row_to_seed import fields_of
from superalign.attacker.seeds.rows import Content, Entry
from superalign.attacker.seeds.seed_set import Loaded, Reserved, seed_files
from superalign.attacker.strategies.load import load_strategies, load_strategy, strategy_from_text
from superalign.attacker.strategies.multi_turn import REPLAY, Replay
from superalign.attacker.strategies.protocol import Strategy
from superalign.errors import PromptFileError
from superalign.files.yaml_lines import Faults, nearest
from superalign.records.rollout import Seed

_ID = re.compile(r"[\w.~-]+")  # ids become parts of attack ids, which slashes divide


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


def normal(text: str) -> str:
    """Lower case, single spaces, no closing punctuation: equal for texts a reader calls the same."""
    return " ".join(text.lower().split()).rstrip(".!?")


def _says_intent(entry: Entry) -> bool:
    return bool(entry.values.get("intent") or entry.guess.get("intent"))


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
        self.own: dict[tuple[str, str], str] = {}
        """(template, its front matter) -> name."""
        self.asked: dict[str, Strategy | str] = {}
        """Name of a strategy -> what it is, or what is wrong with it."""

    def load(self, file: SeedFile) -> None:
        """Every file behind an entry."""
        try:
            files = seed_files(file, self.base_dir)
        except PromptFileError as error:
            self.faults.lines.append(str(error))
            return
        found, before = self.loaded, len(self.faults.lines)
        count, noted = len(found.seeds) + len(found.templates), len(found.notices)
        for name, path in files.items():
            self._file(name, path, file)
            found.files[name] = path
        if count == len(found.seeds) + len(found.templates) and before == len(self.faults.lines):
            why = "".join(f"\n{notice}" for notice in found.notices[noted:])
            self.faults.lines.extend(f"{file.path}: nothing in it can be used{why}".splitlines())

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
        self.loaded.notices.extend(content.notices)
        if content.entries and file.intent is None and not any(_says_intent(entry) for entry in content.entries):
            hint = (
                "add it to the rows, or `intent: harmful` or `benign` to the file's entry in the recipe"
                " (`--set intent=...` on the command line)"
            )
            self.faults.add(path, content.entries[0].line, "intent is missing in every row", hint)
            file = file.model_copy(update={"intent": "harmful"})  # so that other faults are found as well
        strangers: dict[str, int] = {}
        repeated = 0
        lenient = content.foreign or file.on_hub or bool(file.columns)  # who names columns did not write the rows
        for entry in content.entries:
            id = f"{stem}-{entry.number:04d}"
            read = fields_of(path, entry, file, id, self.faults, strangers, self.own_hazards)
            if read is None or not self._with_strategy(path, entry, read.fields, read.template, stem):
                continue
            for seed in self._seeds(path, entry, read.fields, read.lookalikes):
                key = ("goal", normal(seed.goal), seed.strategy, seed.turns)
                if lenient and key in self.places:
                    repeated += 1
                elif self._once(("id", seed.id), path, entry.line, f"id of {seed.id}") and self._once(
                    key, path, entry.line, f"goal of {seed.id}"
                ):
                    self.loaded.seeds.append(seed)
        if repeated:
            self.loaded.notices.append(f"{path}: {repeated} goals that were there already are left out")
        if strangers:
            listed = ", ".join(f"{category} ({count})" for category, count in strangers.items())
            self.loaded.notices.append(f"{path}: no hazard of ours for {listed}")

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

    def _with_strategy(
        self, path: Path, entry: Entry, fields: dict[str, object], template: str | None, stem: str
    ) -> bool:
        """Settle the name of the strategy that an entry brings or asks for; False: there is a fault in it."""
        asked = fields.get("strategy")
        line = entry.lines.get("template" if template else "strategy", entry.line)
        if template is not None and asked is not None:
            self.faults.add(path, line, "a row has a template and names a strategy", "remove one")
            return False
        if template is not None:
            key = (template, repr(sorted(entry.meta.items())))
            if key not in self.own:
                name = f"{stem}-{entry.number:04d}"
                try:
                    own = strategy_from_text(name, template, path, line, **entry.meta)
                except PromptFileError as error:
                    self.faults.lines.extend(str(error).splitlines())
                    return False
                self.own[key], self.loaded.reserved[name] = name, Reserved(own)
            fields["strategy"] = self.own[key]
        elif isinstance(asked, str):
            if asked not in self.asked:
                try:
                    self.asked[asked] = load_strategies([asked], self.base_dir)[asked]
                except PromptFileError as error:
                    self.asked[asked] = str(error)
            found = self.asked[asked]
            if isinstance(found, str):
                self.faults.add(path, line, found)
                return False
            self.loaded.reserved[asked] = Reserved(found)
        return True

    def _seeds(
        self, path: Path, entry: Entry, fields: Mapping[str, object], lookalikes: Sequence[str]
    ) -> Iterator[Seed]:
        """The entry's seed, then its look-alikes."""
        seed = Seed.model_validate(fields)
        if not _ID.fullmatch(seed.id):
            what = f"id {seed.id!r} holds a character other than letters, digits and . _ ~ -"
            self.faults.add(path, entry.lines.get("id", entry.line), what)
            return
        if seed.intent == "harmful":
            self.parents.add(seed.id)
        if seed.parent is not None:
            self.children.append((f"{path}:{entry.lines.get('parent', entry.line)}", seed))
        yield seed
        if lookalikes and seed.intent != "harmful":
            line = entry.lines.get("lookalikes", entry.line)
            self.faults.add(path, line, f"{seed.id} is benign and has lookalikes", "give them to a harmful seed")
            return
        for number, twin in enumerate(lookalikes, 1):
            shared = {"hazard": seed.hazard, "tags": seed.tags, "language": seed.language, "strategy": seed.strategy}
            own = {"id": f"{seed.id}~{number}", "goal": twin, "intent": "benign", "parent": seed.id}
            yield Seed.model_validate(shared | own)
