"""Every command of README and the documents: all are parsed, and those that can are run, each page in its own folder.

The files that a page shows, with a title, are in that folder, as well as small stand-ins for what a reader brings
(`material/`), the shipped recipes, and a finished toy run as `runs/quickstart`. What would train stops after the dry
run; what would ask a model asks the scripted pool.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.cli.toy import make_run, superalign
from tests.docs.pages import PAGES, ROOT, Block, blocks, inline_commands, name
from tools.docs_pages import command_tree

MATERIAL = Path(__file__).parent / "material"
SCRIPTED = {
    "run": ["--dry-run"],
    "eval": ["--pool", "scripted.yaml"],
    "compare": ["--pool", "scripted.yaml"],
    "attack": [
        "--set", "pool={type: scripted}", "--set", "critic={type: rules}", "--set", "allow_same_judge=true",
        "--set", "attacker.per_round={harmful: 4, lookalike: 2, ordinary: 2}", "--out", "attacked",
    ],
}  # fmt: skip
"""Command -> what is added to it, so that no model is loaded."""
OTHERS = {"make", "source", "pip", "docker", "python", "ruff", "mypy", "lint-imports", "pytest", "git"}
"""What a page may tell besides `superalign`."""


def shells(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language in ("bash", "console", "sh")]


WITH_COMMANDS = [page for page in PAGES if page.exists() and shells(page)]


def leaf(words: list[str]) -> tuple[Any, list[str]]:
    """The command of `superalign WORDS`, and the words that are left for it."""
    command, rest = command_tree(), words
    while (children := getattr(command, "commands", None)) is not None and rest and not rest[0].startswith("-"):
        assert rest[0] in children, (
            f"superalign {' '.join(words)}: no command {rest[0]}; there are {', '.join(children)}"
        )
        command, rest = children[rest[0]], rest[1:]
    return command, rest


def settings(words: list[str]) -> set[str]:
    return {value.partition("=")[0] for option, value in itertools.pairwise(words) if option == "--set"}


def check_bench(module: str, words: list[str]) -> None:
    parameters = set(inspect.signature(importlib.import_module(module).run).parameters)
    assert settings(words) <= parameters, f"{module} has {', '.join(parameters)}"


def check(words: list[str]) -> None:
    """That a command and its options exist, without running it."""
    program, rest = words[0], words[1:]
    if program == "superalign" and rest[0].startswith("-"):
        assert rest[0] in superalign("--help").stdout, " ".join(words)
    elif program == "superalign":
        command, rest = leaf(rest)
        command.make_context(command.name, list(rest))  # raises for a wrong option, a missing argument
        if command.name == "bench":
            check_bench(f"superalign.bench.{rest[0]}", rest)
    elif words[:3] == ["python", "-m", "benchmarks"]:
        from benchmarks.__main__ import BENCHMARKS

        assert words[3] in BENCHMARKS
        check_bench(f"benchmarks.{words[3]}", words)
    elif program == "python":
        assert rest[0] == "-m" or (ROOT / rest[0]).is_file(), " ".join(words)
    elif program == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert {word for word in rest if "=" not in word} <= targets
    else:
        assert program in OTHERS, f"{program}: who would run that?"


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_commands_and_their_options_exist(page: Path) -> None:
    for block in shells(page):
        for words in block.commands():
            try:
                check(words)
            except Exception as error:
                raise AssertionError(f"{block.place}: {' '.join(words)}: {error}") from error


@pytest.mark.parametrize("page", [page for page in PAGES if page.exists()], ids=name)
def test_commands_in_sentences_and_tables_exist(page: Path) -> None:
    for text in inline_commands(page):
        words = shlex.split(re.sub(r"[\[\]|\\]|\.\.\.", " ", text), comments=True)[1:]
        if words[:1] in (["NAME"], ["bench"]) or "NAME" in words[:1]:
            continue
        command, rest = leaf(words)
        options = {option for parameter in command.params for option in parameter.opts} | {"--help", "--version"}
        assert {word for word in rest if re.match(r"--?[a-z]", word)} <= options, f"{name(page)}: {text}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A reader's folder: what they bring, the shipped recipes, and a finished run of two rounds."""
    shutil.copytree(MATERIAL, tmp_path, dirs_exist_ok=True)
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    (tmp_path / "runs").mkdir()
    run = make_run(tmp_path / "runs" / "quickstart", (ROOT / "recipes" / "quickstart.yaml").read_text())
    shutil.rmtree(run / "rounds" / "003")
    (run / "origin.json").write_text(json.dumps({"recipe": str(tmp_path / "recipes" / "quickstart.yaml")}))
    return tmp_path


def play(page: Path, folder: Path, engine: bool) -> int:
    """Write the files of a page, then run its commands in their order; how many were run."""
    count = 0
    for block in blocks(page):
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
    for block in blocks(page):
        if block.language != "bash" or block.not_run or block.engine != engine:
            continue
        for words in block.commands():
            assert words[0] == "superalign", f"{block.place}: mark what can't be run: <!-- not run: REASON -->"
            added = [] if engine else SCRIPTED.get(words[1], [])
            if added and added[0] in words:
                added = []
            done = superalign(*words[1:], *added, cwd=folder)
            assert done.returncode == 0, (
                f"{block.place}: {' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            )
            count += 1
    return count


def to_play(engine: bool) -> list[Path]:
    return [page for page in WITH_COMMANDS if any(not b.not_run and b.engine == engine for b in shells(page))]


@pytest.mark.parametrize("page", to_play(engine=False), ids=name)
def test_the_commands_of_a_page_run_in_its_order(page: Path, folder: Path) -> None:
    assert play(page, folder, engine=False) > 0


@pytest.mark.engine
@pytest.mark.parametrize("page", to_play(engine=True), ids=name)
def test_the_commands_that_load_a_model_run(page: Path, folder: Path) -> None:
    assert play(page, folder, engine=True) > 0


def test_what_is_not_run_says_why() -> None:
    unmarked = [b.place for page in WITH_COMMANDS for b in shells(page) if b.not_run is not None and len(b.not_run) < 8]
    assert unmarked == []
    everything = [block for page in WITH_COMMANDS for block in shells(page)]
    assert sum(not block.not_run for block in everything) >= 20, "most of what a page tells is to be tried"
