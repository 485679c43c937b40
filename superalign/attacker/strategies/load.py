"""Strategies by name: prompt files, chains of them, rows of seed files, plug-ins."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from superalign.attacker.strategies.chain import Element, PromptStrategy, chained, compose, elements_of, why_not
from superalign.attacker.strategies.front_matter import STYLES, StrategyMeta, Style
from superalign.attacker.strategies.multi_turn import REPLAY, WRITTEN_SLOTS, Dialogue, Replay, WrittenDialogue
from superalign.attacker.strategies.one_turn import Rendered, Written
from superalign.attacker.strategies.plugin import resolve
from superalign.attacker.strategies.protocol import Strategy
from superalign.attacker.strategies.refine import SLOTS as REFINE_SLOTS
from superalign.attacker.strategies.refine import Refine
from superalign.errors import PromptFileError
from superalign.files.find import prompt_path, prompt_roots
from superalign.files.templates import PromptTemplate, load_prompt, prompt_from_text
from superalign.files.yaml_lines import Faults, Located, nearest, validated

__all__ = [
    "REPLAY", "STYLES", "PromptStrategy", "StrategyMeta", "Style", "compose", "load_strategies", "load_strategy",
    "strategy_files", "strategy_from_text",
]  # fmt: skip
_OF_MODE = {"attempts": "refine", "width": "refine", "turns": "dialogue"}
_ALL_SLOTS = tuple(dict.fromkeys((*REFINE_SLOTS, *WRITTEN_SLOTS)))


def load_strategy(path: Path) -> Element:
    """Load one strategy file; raises PromptFileError with every fault in it."""
    template = load_prompt(path, _ALL_SLOTS)
    return _made(template, {template.name: path})


def strategy_from_text(name: str, text: str, path: Path, line: int, **meta: Any) -> Element:
    """The strategy of a template that stands in a row of `path`, from `line` on; `meta` is what front matter says.

    Raises PromptFileError with every fault in it.
    """
    template = prompt_from_text(name, text, path, line, _ALL_SLOTS)
    digest = hashlib.sha256(json.dumps([text, meta], sort_keys=True, default=str).encode()).hexdigest()
    front = Located(path, {"name": name, **meta}, {(): line})
    return _made(replace(template, meta=front, sha256=digest), {})


def strategy_files(base_dir: Path | None = None) -> dict[str, Path]:
    """Name -> file, of every strategy file there is; the recipe's own folder wins over what is shipped."""
    known: dict[str, Path] = {}
    for root in reversed(prompt_roots(base_dir)):
        known |= {path.stem: path for path in sorted((root / "strategies").glob("*.md"))}
    return known


def load_strategies(
    names: Collection[str] = (),
    base_dir: Path | None = None,
    inline: Iterable[PromptStrategy] = (),
    place: Callable[[str], str] = lambda name: "",
) -> dict[str, Strategy]:
    """The named strategies, or without names every file's that is rendered and aims at the learner; and `inline` ones.

    A name is that of a file, a path, `a+b+c` for a chain, a plug-in, or `replay`; place: name -> where it was asked
    for, `file:line: ` or empty. Raises PromptFileError with all faults at once.
    """
    strategies = _Strategies(base_dir, inline, place)
    chosen: dict[str, Strategy] = {**strategies.loaded}
    for name in sorted(names or strategies.files):
        strategy = strategies.named(name)
        if names or (isinstance(strategy, Rendered) and strategy.meta.targets == "learner"):
            chosen |= {name: strategy} if strategy is not None else {}
    strategies.faults.raise_if_any()
    return chosen


class _Strategies:
    """What names lead to; each file is read once and each fault noted once."""

    def __init__(self, base_dir: Path | None, inline: Iterable[PromptStrategy], place: Callable[[str], str]) -> None:
        self.base_dir, self.files, self.faults, self.place = base_dir, strategy_files(base_dir), Faults(), place
        self.loaded: dict[str, PromptStrategy] = {strategy.name: strategy for strategy in inline}
        self.failed: set[str] = set()

    def named(self, name: str) -> Strategy | None:
        """The strategy; None: a fault was noted."""
        if name == REPLAY:
            return Replay()
        if name not in self.files and name not in self.loaded:
            try:
                if (plugin := resolve(name, self.base_dir)) is not None:
                    return plugin
            except PromptFileError as error:
                self.faults.lines.append(str(error))
                return None
        parts = [name] if name in self.files or name in self.loaded else name.split("+")
        if REPLAY in parts:
            self.faults.lines.append(
                f"{self.place(name)}strategy {name}: {REPLAY} sends a seed's own turns as they stand; name it alone"
            )
            return None
        strategies = [self._file(part, self.place(name)) for part in parts]
        if any(strategy is None for strategy in strategies):
            return None
        elements = [element for strategy in strategies if strategy is not None for element in elements_of(strategy)]
        if (reason := why_not(elements)) is not None:
            self.faults.lines.append(f"{self.place(name)}strategy {name}: {reason}")
        return chained(elements)

    def _file(self, name: str, place: str) -> PromptStrategy | None:
        if name in self.loaded or name in self.failed:
            return self.loaded.get(name)
        try:
            if name not in self.files and not name.endswith(".md"):
                known = {*self.files, *self.loaded, REPLAY}
                hint = f"{nearest(name, known)}; `superalign attackers list` tells of all"
                raise PromptFileError(f"{place}strategy {name or '(no name)'} is not known", hint)
            self.loaded[name] = load_strategy(self.files.get(name) or prompt_path(name, self.base_dir))
        except PromptFileError as error:
            self.failed.add(name)
            self.faults.lines.append(str(error))
        return self.loaded.get(name)


def _made(template: PromptTemplate, files: Mapping[str, Path]) -> Element:
    """The strategy that the front matter describes."""
    meta = validated(StrategyMeta, template.meta)
    kind, slots = _kind(meta)
    faults, path = Faults(), template.path
    if re.search(r"[+\s]", template.name):
        faults.add(
            path, 1, f"the name {template.name!r} holds a + (which makes chains) or a space", "take another name"
        )
    if template.name == REPLAY:
        faults.add(path, 1, f"{REPLAY} is a strategy that is there already", "take another name")
    for key in _OF_MODE.keys() & meta.model_fields_set:
        if meta.mode != _OF_MODE[key]:
            faults.add(path, template.meta.line((key,)), f"{key} is for mode {_OF_MODE[key]}, not {meta.mode}")
    for slot, line in template.slots.items():
        if slot not in slots:
            faults.add(path, line, f"mode {meta.mode} has no slot {slot}", nearest(slot, slots))
    start = template.meta.line(()) if not files else 1
    if "goal" not in template.slots:
        faults.add(path, start, "the body never uses {{ goal }}", "put it where the goal belongs")
    role, line, _ = template.turns[-1]
    if role != "user":
        faults.add(path, line, "the last turn is not the user's", "end with === user")
    if kind is Dialogue:
        roles = [role for role, _, _ in template.turns]
        if "system" in roles[1:] or "assistant" in roles or roles.count("user") < 2:
            hint = "write two or more === user turns and no others (or `turns: N`, to have them written)"
            faults.add(path, start, "a dialogue is made of user turns, behind at most one system turn", hint)
    faults.raise_if_any()
    return kind(template.name, meta, template, files)


def _kind(meta: StrategyMeta) -> tuple[type[Element], tuple[str, ...]]:
    """The class, and the slots its template may read."""
    match meta.mode:
        case "render":
            return Rendered, ("goal",)
        case "write":
            return Written, ("goal",)
        case "refine":
            return Refine, REFINE_SLOTS
        case "dialogue":
            return (Dialogue, ("goal",)) if meta.turns is None else (WrittenDialogue, WRITTEN_SLOTS)
