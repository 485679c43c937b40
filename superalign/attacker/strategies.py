"""Strategies are prompt files: how a goal is put to the learner."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from superalign.errors import PromptFileError
from superalign.prompts import Faults, PromptTemplate, load_prompt, nearest, prompt_path, prompt_roots, validated
from superalign.records import Kind, Seed

SLOTS = ("goal",)
_NO_VERBS = frozenset("a an are for given here how i if in is the this what when where which who why".split())
_ASKED_OF_A_MODEL = frozenset(
    "add advise analyze answer argue calculate classify come compare complete convert correct describe discuss edit "
    "explain extract fill give help identify imagine insert list name outline predict propose provide rank recommend "
    "rewrite show sort suggest summarize teach tell translate walk".split()
)


class StrategyMeta(BaseModel):
    """The front matter of a strategy file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = None
    """None: the file's name without its ending."""
    description: str = ""
    mode: Literal["render", "write"] = "render"
    """render: the body is the attack; write: the body tells an LLM to write the attack."""
    applies_to: tuple[Kind, ...] = ("harmful", "lookalike", "ordinary")
    """Frames go around benign goals as well, or the learner would learn to refuse the frame."""
    phrase_only: bool = False
    """The goal stands inside a sentence, so it must be a verb phrase and no sentence itself."""
    asks_how: bool = False
    """The frame asks how to do the goal ("How do I ..."), which needs a goal that is something one does, not
    something one asks of the model ("give me ...", "explain ...")."""
    max_tokens: int = Field(default=64, gt=0)
    temperature: float = Field(default=0.8, ge=0)
    min_overlap: float = Field(default=0.5, ge=0, le=1)
    """The share of the goal's content words that an LLM-written attack must still hold."""


@dataclass(frozen=True)
class Strategy:
    """One strategy file, loaded."""

    name: str
    meta: StrategyMeta
    template: PromptTemplate

    def applies(self, seed: Seed) -> bool:
        """Whether this strategy may dress up this seed."""
        first, *rest = seed.goal.lower().split()
        whole = seed.goal.rstrip().endswith((".", "!", "?")) or first in _NO_VERBS
        asked = first in _ASKED_OF_A_MODEL or "me" in rest[:2]
        return (
            seed.kind in self.meta.applies_to
            and not (whole and (self.meta.phrase_only or self.meta.asks_how))
            and not (asked and self.meta.asks_how)
        )


def load_strategy(path: Path) -> Strategy:
    """Load one strategy file; raises PromptFileError with every fault in it."""
    template = load_prompt(path, SLOTS)
    meta = validated(StrategyMeta, template.meta)
    if "goal" not in template.slots:
        raise PromptFileError(f"{path}:1: the body never uses {{{{ goal }}}}", "put it where the goal belongs")
    if template.turns[-1][0] != "user":
        raise PromptFileError(f"{path}:{template.turns[-1][1]}: the last turn is not the user's", "end with === user")
    return Strategy(template.name, meta, template)


def load_strategies(names: Collection[str] = (), beside: Path | None = None) -> dict[str, Strategy]:
    """The named strategies, or without names all that can be found; all faults at once."""
    known: dict[str, Path] = {}
    for root in reversed(prompt_roots(beside)):  # the recipe's own folder comes last and wins
        known |= {path.stem: path for path in sorted((root / "strategies").glob("*.md"))}
    faults, found = Faults(), dict[str, Strategy]()
    for name in sorted(names or known):
        if name not in known and not name.endswith(".md"):
            faults.lines.append(f"strategy {name} is not known; {nearest(name, known)}")
            continue
        try:
            found[name] = load_strategy(known.get(name) or prompt_path(name, beside))
        except PromptFileError as error:
            faults.lines.append(str(error))
    faults.raise_if_any()
    return found
