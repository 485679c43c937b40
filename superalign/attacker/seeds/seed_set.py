"""What a recipe's entries of seeds lead to: files, and all that was in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from superalign.attacker.options import SeedFile
from superalign.attacker.seeds.readers import READERS
from superalign.attacker.strategies.chain import PromptStrategy
from superalign.attacker.strategies.protocol import Step, Strategy, Writer
from superalign.errors import PromptFileError
from superalign.files.find import prompt_path
from superalign.files.hub_datasets import hub_file
from superalign.records.exchange import Exchange
from superalign.records.rollout import Rollout, Seed

_NO_PROMPTS = re.compile(r"(readme|licen[cs]e|changelog)\b.*|\..*", re.IGNORECASE)


@dataclass(frozen=True)
class Reserved:
    """A strategy for the seeds that ask for it, and no others."""

    strategy: Strategy

    @property
    def name(self) -> str:
        """The strategy's."""
        return self.strategy.name

    @property
    def sha256(self) -> str:
        """The strategy's."""
        return self.strategy.sha256

    def applies(self, seed: Seed) -> bool:
        """Whether the seed names it."""
        return seed.strategy == self.name

    @property
    def files(self) -> Mapping[str, Path]:
        """The strategy's."""
        return self.strategy.files

    @property
    def asks_model(self) -> bool:
        """Whether the attacker's model writes for it."""
        return self.strategy.asks_model

    async def step(self, rollout: Rollout, history: Sequence[Exchange], writer: Writer) -> Step | None:
        """The strategy's."""
        return await self.strategy.step(rollout, history, writer)


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
    """What was read, by a name that says where it came from."""
    notices: list[str] = field(default_factory=list)
    """What was left out, and why that is no fault."""


def seed_files(file: SeedFile, base_dir: Path | None = None) -> dict[str, Path]:
    """The files behind an entry of a recipe, by name; raises PromptFileError where there are none."""
    if file.on_hub:
        return {file.path: hub_file(file.path)}
    path = prompt_path(file.path, base_dir)
    if not path.is_dir():
        return {file.path: path}
    inside = [
        child for child in sorted(path.rglob("*"))
        if child.is_file() and child.suffix.lower() in READERS and not _NO_PROMPTS.fullmatch(child.name)
    ]  # fmt: skip
    if not inside:
        raise PromptFileError(f"{path}: no prompt files in this folder", "put files in it: " + ", ".join(READERS))
    return {f"{file.path.rstrip('/')}/{child.relative_to(path).as_posix()}": child for child in inside}
