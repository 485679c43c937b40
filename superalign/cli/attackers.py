"""`attackers list | validate | preview | test`: strategies, and anyone's prompt files and plug-ins."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from superalign.attacker.options import EVOLVED
from superalign.attacker.seeds.from_cli_name import Resolved, find, plan
from superalign.attacker.strategies.load import PromptStrategy, load_strategies, strategy_files
from superalign.attacker.strategies.plugin import PluginStrategy
from superalign.attacker.strategies.protocol import Strategy
from superalign.cli.format import clean, command, labelled, table, width
from superalign.cli.options import Json, group, one_of
from superalign.cli.progress import watched
from superalign.errors import PromptFileError
from superalign.files.plugins import entry_names
from superalign.records.exchange import Answer, Dropped, Exchange
from superalign.records.rollout import Rollout, Seed

Played = list[Exchange | Dropped]


app = group("Attack strategies, prompt files and plug-ins of your own.")
Source = Annotated[
    str,
    typer.Argument(metavar="PATH", help="A file, a folder, hub:OWNER/NAME, a plug-in, a strategy.", show_default=False),
]
Fields = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A=B", help="As in a recipe's `seeds`: intent=harmful, columns.goal=Behavior."),
]
Mix = Annotated[str | None, typer.Option(metavar="A,B+C", help="Strategies for the goals.  [default: direct]")]
Number = Annotated[int, typer.Option("--n", min=1, metavar="N", help="How many.")]


@app.command("list")
def list_strategies(as_json: Json = False) -> None:
    """List every strategy: its mode, its style, what it does.

    Those that ship, lie in this folder's `strategies/`, or come from installed packages. render: a template; write: an
    LLM words it; refine: it tries again with reply and critique; dialogue: several turns.
    """
    here = Path.cwd()
    rows = [_row(name, here) for name in [*sorted(strategy_files(here)), *entry_names("attackers")]]
    if as_json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    cells = [(row["name"], row["mode"], row["style"], row["description"]) for row in rows]
    print("\n".join(table(("strategy", "mode", "style", "what it does"), cells)))


@app.command()
def validate(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders, plug-ins, strategies.", show_default=False)
    ],
    fields: Fields = None,
    as_json: Json = False,
) -> None:
    """Check everything in prompt files and plug-ins.

    Every fault of every file is named with its line, and the exit status is then 1.
    """
    contents: list[dict[str, Any]] = []
    faults: list[str] = []
    for path in paths:
        try:
            contents.append(_contents(path, find(path, fields or (), Path.cwd())))
        except PromptFileError as error:
            faults += str(error).splitlines()
    faults = list(dict.fromkeys(faults))
    if as_json:
        print(json.dumps({"found": contents, "faults": faults}, ensure_ascii=False))
        raise typer.Exit(int(bool(faults)))
    for content in contents:
        print("\n".join([_summary(content), *(f"  {notice}" for notice in content["notices"])]))
    if faults:
        raise PromptFileError("\n".join(faults))


@app.command()
def preview(path: Source, n: Number = 5, mix: Mix = None, fields: Fields = None, as_json: Json = False) -> None:
    """Show a few attacks as they would be sent; no model is started."""
    from superalign.standalone.play_attacks import rehearse

    rollouts, strategies = _planned(path, mix, fields or (), n)
    _show([rollout[:1] for rollout in asyncio.run(rehearse(rollouts, strategies))], as_json)


@app.command("test")
def try_out(
    path: Source,
    model: Annotated[str, typer.Option(metavar="M", help="A known name, a folder or a hub id.", show_default=False)],
    adapter: Annotated[Path | None, typer.Option(metavar="A", help="Folder of a LoRA adapter.")] = None,
    n: Number = 5,
    mix: Mix = None,
    fields: Fields = None,
    judge: Annotated[str, typer.Option(metavar="rules|probe", help="Who judges the replies.")] = "rules",
    pool: Annotated[str, typer.Option(metavar="auto|vllm|transformers", help="The engine.")] = "auto",
    as_json: Json = False,
) -> None:
    """Send a few attacks to a model; show replies and verdicts."""
    one_of("--judge", judge, "rules", "probe")
    one_of("--pool", pool, "auto", "vllm", "transformers")
    rollouts, strategies = _planned(path, mix, fields or (), n)
    from superalign.standalone.play_attacks import attempt

    played = watched(
        lambda observer: attempt(
            rollouts, strategies, model=model, adapter=adapter, judge=judge, pool=pool, observer=observer
        ),
        loading=model,
    )
    _show(played, as_json)
    if not as_json:
        worked = sum(any(isinstance(one, Exchange) and one.success for one in rollout) for rollout in played)
        print(f"{worked} of {len(played)} made {model} err, judged by {judge}")


def _planned(path: str, mix: str | None, fields: Sequence[str], n: int) -> tuple[list[Rollout], dict[str, Strategy]]:
    here, names = Path.cwd(), mix.split(",") if mix else []
    if EVOLVED in (path, *names):
        hint = (
            f"name it in a recipe's attacker.mix; from the second generation on, `{command('attack')} RECIPE` plays it"
        )
        raise PromptFileError(f"{EVOLVED}: it breeds attacks from those played before, and here there are none", hint)
    source = find(path, fields, here)
    names = names or ([] if source.strategies else ["direct"])
    known = load_strategies(names, here) if names else {}
    rollouts, strategies = plan(source, {name: known[name] for name in names}, n)
    if not rollouts:
        raise PromptFileError(f"{path}: no attack to show", "no strategy applies to its goals; name others with --mix")
    if names and (unfit := [seed for seed in source.seeds if not _fits(seed, [known[name] for name in names])]):
        example = clean(unfit[0].goal, 60)
        why = (
            f"{mix or 'direct'} applies to none of them (it needs goals of another form or intent), such as: {example}"
        )
        print(f"{len(unfit)} of {len(source.seeds)} goals left out: {why}", file=sys.stderr)
    return rollouts, strategies


def _fits(seed: Seed, strategies: Sequence[Strategy]) -> bool:
    """Whether a seed can be played: it says how itself, or one of the strategies applies to it."""
    return bool(seed.turns or seed.strategy) or any(strategy.applies(seed) for strategy in strategies)


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


def _contents(path: str, given: Resolved) -> dict[str, Any]:
    return {
        "path": path,
        "seeds": dict(Counter(seed.kind for seed in given.seeds)),
        "strategies": sorted({*given.strategies, *given.reserved}),
        "critic": given.critic,
        "notices": list(given.notices),
    }


def _summary(content: Mapping[str, Any]) -> str:
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
        print(json.dumps([[one.model_dump(mode="json") for one in rollout] for rollout in played], ensure_ascii=False))
        return
    for one in (one for rollout in played for one in rollout):
        lines = _block(one.stage, one.reason) if isinstance(one, Dropped) else _exchange(one)
        head = f"{one.record_id}  dropped" if isinstance(one, Dropped) else _head(one)
        print("\n".join([head, *lines]) + "\n")


def _head(exchange: Exchange) -> str:
    attack = exchange.attack
    return f"{attack.id}  {attack.strategy}  ({attack.seed.kind})"


def _exchange(exchange: Exchange) -> list[str]:
    attack, lines = exchange.attack, list[str]()
    if attack.draft is not None:
        lines += [line for message in attack.draft.prompt for line in _block(f"ask {message.role}", message.content)]
    lines += [line for message in attack.messages for line in _block(message.role, message.content)]
    return lines + [line for answer in exchange.answers for line in _answer(answer)]


def _answer(answer: Answer) -> list[str]:
    lines = _block("reply", answer.generation.text) if answer.generation.num_tokens else []
    if answer.verdict is not None:
        score = "not scored" if answer.verdict.score is None else f"score {answer.verdict.score:.2f}"
        lines += _block("verdict", f"{answer.verdict.outcome}, {score}. {answer.verdict.rationale}")
    return lines


def _block(label: str, text: str) -> list[str]:
    lines = clean(text).splitlines() or [""]
    return [f"  {row}" for n, line in enumerate(lines) for row in labelled("" if n else label, line, width() - 2, 15)]
