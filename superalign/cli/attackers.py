"""`attackers list | validate | preview | test`: strategies, and anyone's prompt files and plug-ins."""

from __future__ import annotations

import asyncio
import json
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from superalign.attacker.seeds.from_cli_name import Given, find, plan
from superalign.attacker.strategies.load import PromptStrategy, load_strategies, strategy_files
from superalign.attacker.strategies.plugin import PluginStrategy
from superalign.attacker.strategies.protocol import Strategy
from superalign.cli.format import clean, listed, width
from superalign.cli.progress import watched
from superalign.errors import PromptFileError
from superalign.files.plugins import entry_names
from superalign.records.exchange import Answer, Dropped, Exchange
from superalign.records.rollout import Rollout

Played = list[Exchange | Dropped]


@dataclass(frozen=True)
class Wanted:
    """The command line of `test`, as it was given."""

    path: str
    mix: str | None
    fields: tuple[str, ...]
    n: int
    model: str
    adapter: Path | None
    judge: str
    pool: str


def list_strategies(as_json: bool) -> None:
    """A line for each; one that can't be loaded says why."""
    here = Path.cwd()
    rows = [_row(name, here) for name in [*sorted(strategy_files(here)), *entry_names("attackers")]]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    table = [(row["name"], row["mode"], row["style"], row["description"]) for row in rows]
    print("\n".join(listed(("strategy", "mode", "style", "what it does"), table)))


def validate(paths: Sequence[str], fields: Sequence[str], as_json: bool) -> int:
    """What each path holds; returns the exit status of JSON, and otherwise raises PromptFileError with all faults."""
    found: list[dict[str, Any]] = []
    faults: list[str] = []
    for path in paths:
        try:
            given = find(path, fields, Path.cwd())
        except PromptFileError as error:
            faults += str(error).splitlines()
            continue
        found.append(_contents(path, given))
    faults = list(dict.fromkeys(faults))
    if as_json:
        print(json.dumps({"found": found, "faults": faults}, ensure_ascii=False))
        return int(bool(faults))
    for content in found:
        print("\n".join([_said(content), *(f"  {notice}" for notice in content["notices"])]))
    if faults:
        raise PromptFileError("\n".join(faults))
    return 0


def preview(path: str, n: int, mix: str | None, fields: Sequence[str], as_json: bool) -> None:
    """Print the first attack of each rollout."""
    from superalign.standalone.preview_attacks import rehearse

    rollouts, strategies = _planned(path, mix, fields, n)
    _show([rollout[:1] for rollout in asyncio.run(rehearse(rollouts, strategies))], as_json)


def try_out(wanted: Wanted, as_json: bool) -> None:
    """Play and print every rollout, and how many of them worked."""
    rollouts, strategies = _planned(wanted.path, wanted.mix, wanted.fields, wanted.n)
    from superalign.standalone.try_attacks import attempt

    played = watched(
        lambda observer: attempt(
            rollouts,
            strategies,
            model=wanted.model,
            adapter=wanted.adapter,
            judge=wanted.judge,
            pool=wanted.pool,
            observer=observer,
        )
    )
    _show(played, as_json)
    if not as_json:
        worked = sum(any(isinstance(found, Exchange) and found.success for found in rollout) for rollout in played)
        print(f"{worked} of {len(played)} made {wanted.model} err, judged by {wanted.judge}")


def _planned(path: str, mix: str | None, fields: Sequence[str], n: int) -> tuple[list[Rollout], dict[str, Strategy]]:
    here = Path.cwd()
    given = find(path, fields, here)
    names = mix.split(",") if mix else [] if given.strategies else ["direct"]
    known = load_strategies(names, here) if names else {}
    rollouts, strategies = plan(given, {name: known[name] for name in names}, n)
    if not rollouts:
        raise PromptFileError(f"{path}: no attack to show", "no strategy applies to its goals; name others with --mix")
    return rollouts, strategies


def _row(name: str, here: Path) -> dict[str, str]:
    try:
        strategy = load_strategies([name], here)[name]
    except PromptFileError as error:
        return {"name": name, "mode": "faulty", "style": "-", "targets": "-", "description": str(error)}
    assert isinstance(strategy, PromptStrategy | PluginStrategy)  # `replay` has no file
    meta, mode = strategy.meta, "plug-in" if isinstance(strategy, PluginStrategy) else strategy.meta.mode
    return {
        "name": name, "mode": mode, "style": meta.style, "targets": meta.targets, "description": meta.description
    }  # fmt: skip


def _contents(path: str, given: Given) -> dict[str, Any]:
    return {
        "path": path,
        "seeds": dict(Counter(seed.kind for seed in given.seeds)),
        "strategies": sorted({*given.strategies, *given.reserved}),
        "critic": given.critic,
        "notices": list(given.notices),
    }


def _said(content: Mapping[str, Any]) -> str:
    parts = [f"{count} {kind}" for kind, count in content["seeds"].items()]
    names = content["strategies"]
    if names:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} others" if len(names) > 5 else "")
        parts.append(f"{'strategies' if len(names) > 1 else 'strategy'} {shown}")
    if content["critic"]:
        parts.append(f"critic {content['critic']}")
    return f"{content['path']}: {'; '.join(parts)}"


def _show(played: Sequence[Played], as_json: bool) -> None:
    if as_json:
        print(
            json.dumps([[found.model_dump(mode="json") for found in rollout] for rollout in played], ensure_ascii=False)
        )
        return
    for rollout in played:
        for found in rollout:
            print("\n".join(_dropped(found) if isinstance(found, Dropped) else _exchange(found)) + "\n")


def _dropped(found: Dropped) -> list[str]:
    return [f"{found.record_id}  dropped", *_block(found.stage, found.reason)]


def _exchange(found: Exchange) -> list[str]:
    attack = found.attack
    lines = [f"{attack.id}  {attack.strategy}  ({attack.seed.kind})"]
    if attack.draft is not None:
        lines += [line for message in attack.draft.prompt for line in _block(f"ask {message.role}", message.content)]
    lines += [line for message in attack.messages for line in _block(message.role, message.content)]
    return lines + [line for answer in found.answers for line in _answer(answer)]


def _answer(answer: Answer) -> list[str]:
    lines = _block("reply", answer.generation.text) if answer.generation.num_tokens else []
    if answer.verdict is not None:
        score = "not scored" if answer.verdict.score is None else f"score {answer.verdict.score:.2f}"
        lines += _block("verdict", f"{answer.verdict.outcome}, {score}. {answer.verdict.rationale}")
    return lines


def _block(label: str, text: str) -> list[str]:
    lines = [part for line in clean(text).splitlines() for part in textwrap.wrap(line, width() - 17) or [""]] or [""]
    return [f"  {label if not number else '':<15}{line}" for number, line in enumerate(lines)]
