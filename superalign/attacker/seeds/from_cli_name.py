"""Anything that attacks, by what a person calls it: seed files, folders, data sets, strategies, plug-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from pydantic import ValidationError

from superalign.attacker.options import SeedFile
from superalign.attacker.seeds.load import load_seeds
from superalign.attacker.strategies.load import load_strategies, strategy_files
from superalign.attacker.strategies.protocol import Strategy
from superalign.errors import PromptFileError
from superalign.files.find import prompt_path
from superalign.files.hub_datasets import HUB
from superalign.files.plugins import is_plugin, load_plugin
from superalign.files.yaml_lines import nearest
from superalign.records.base import Kind
from superalign.records.rollout import Rollout, Seed

_EXAMPLES = ("seeds/harmful.yaml", "seeds/ordinary.yaml")


@dataclass(frozen=True)
class Resolved:
    """What a name led to."""

    seeds: Sequence[Seed] = ()
    strategies: Mapping[str, Strategy] = field(default_factory=dict)
    """For any seed."""
    reserved: Mapping[str, Strategy] = field(default_factory=dict)
    """For the seeds that ask for them."""
    critic: str | None = None
    """The name of a plug-in that judges and does not attack."""
    notices: Sequence[str] = ()


def find(name: str, settings: Sequence[str], base_dir: Path) -> Resolved:
    """What is behind a name, loaded and checked; raises PromptFileError with every fault.

    settings: `A=B`, fields of a SeedFile if the name is that of a seed file.
    """
    if is_plugin(name, "attackers", base_dir) or is_plugin(name, "critics", base_dir):
        return _plugin(name, base_dir)
    if name not in strategy_files(base_dir) and (name.startswith(HUB) or _exists(name, base_dir)):
        loaded = load_seeds([_seed_file(name, settings)], base_dir)
        templates = {template.name: template for template in loaded.templates}
        return Resolved(loaded.seeds, templates, loaded.reserved, notices=loaded.notices)
    return Resolved(strategies=load_strategies([name], base_dir))


def plan(resolved: Resolved, mix: Mapping[str, Strategy], n: int) -> tuple[list[Rollout], dict[str, Strategy]]:
    """At most n rollouts, and the strategies they ask for.

    The name's own seeds in their order, else a few that ship, take turns with the strategies that apply: those of
    `mix`, else the name's own. If there are fewer seeds than n, each is played with its next strategies as well.
    """
    offered = dict(mix or resolved.strategies)
    seeds = list(resolved.seeds)
    if not seeds:
        kinds: dict[Kind, list[Seed]] = {}
        for seed in load_seeds(_EXAMPLES).seeds:
            kinds.setdefault(seed.kind, []).append(seed)
        seeds = [seed for together in zip(*kinds.values(), strict=False) for seed in together]
    rollouts: list[Rollout] = []
    for lap, (place, seed) in product(range(max(1, len(offered))), enumerate(seeds)):
        if len(rollouts) == n:
            break
        if not seed.turns and seed.strategy is None:
            usable = [name for name, strategy in offered.items() if strategy.applies(seed)]
            if lap >= len(usable):
                continue
            seed = seed.model_copy(update={"strategy": usable[(place + lap) % len(usable)]})
        elif lap:
            continue  # it has one strategy, and had its turn
        rollouts.append(Rollout(round=1, seed=seed, index=lap, position=len(rollouts)))
    return rollouts, offered | dict(resolved.reserved)


def _plugin(name: str, base_dir: Path) -> Resolved:
    try:
        return Resolved(strategies=load_strategies([name], base_dir))
    except PromptFileError:
        try:
            critic = load_plugin(name, "critics", base_dir)
        except PromptFileError:
            critic = None
        if critic is None:
            raise
        return Resolved(critic=critic.name)


def _exists(name: str, base_dir: Path) -> bool:
    try:
        prompt_path(name, base_dir)
    except PromptFileError:
        return any(mark in name for mark in "/.")  # no strategy's name: let it fail as a file
    return True


def _seed_file(name: str, settings: Sequence[str]) -> SeedFile:
    fields: dict[str, object] = {"path": name}
    for setting in settings:
        key, equals, value = setting.partition("=")
        top, dot, inner = key.partition(".")
        if bool(dot) != (top in ("columns", "where")) and top in SeedFile.model_fields:
            form = f"{top}.NAME=VALUE" if not dot else f"{top}=VALUE"
            raise PromptFileError(f"--set {setting}: not of the form {form}", "for example columns.goal=Behavior")
        if not equals or top not in SeedFile.model_fields:
            known = [field for field in SeedFile.model_fields if field != "path"]
            raise PromptFileError(f"--set {setting}: not of the form field=value", nearest(top, known))
        if dot:
            group = fields.setdefault(top, {})
            assert isinstance(group, dict)
            group[inner] = value
        else:
            fields[top] = value.split(",") if top == "tags" else value
    try:
        return SeedFile.model_validate(fields)
    except ValidationError as error:
        lines = [f"--set {'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
        raise PromptFileError("\n".join(lines)) from None
