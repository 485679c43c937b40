"""The command line is light, and wrong usage is told apart from a wrong recipe."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys

import pytest

from superalign.cli.main import COMMANDS as COMMANDS_TABLE
from superalign.cli.main import command
from tests.cli.toy import ROOT, superalign

HEAVY = {"torch", "vllm", "transformers", "trl", "peft", "datasets", "sklearn", "scipy", "fastapi"}
"""What the help of no command may import ..."""
LIGHT = {"superalign", "superalign.cli", "superalign.cli.main"}
"""... and all that the list of commands imports of superalign itself; no pydantic, rich or asyncio."""
COMMANDS = [
    [],
    ["run"],
    ["attack"],
    ["resume"],
    ["show"],
    ["report"],
    ["review"],
    ["verify"],
    ["export"],
    ["eval"],
    ["compare"],
    ["doctor"],
    ["init"],
    ["models", "pull"],
    ["hazards", "add"],
    ["critic", "calibrate"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: "-".join(words) or "superalign")
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = f"""
import sys
sys.argv = {["superalign", *words, "--help"]!r}
from superalign.cli.main import main
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
print("LOADED", sorted({HEAVY!r} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"
    assert "Usage: superalign" in done.stdout


GROUPS = ["suites", "attackers", "critic", "constitution", "hazards", "models"]


@pytest.mark.parametrize("words", [[], *([group] for group in GROUPS)], ids=lambda words: "-".join(words) or "all")
def test_every_command_is_told_in_a_line(words: list[str]) -> None:
    told = superalign(*words, "--help").stdout.partition("Commands:\n")[2]
    assert told
    assert "..." not in told, "a line that does not fit is cut"
    assert max(map(len, told.splitlines())) <= 80


def test_the_list_of_commands_imports_no_command() -> None:
    code = """
import sys
sys.argv = ["superalign", "--help"]
from superalign.cli.main import main
try:
    main()
except SystemExit:
    pass
print(sorted(name for name in sys.modules if name.startswith("superalign") or name in {"pydantic", "rich", "asyncio"}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(ast.literal_eval(done.stdout.splitlines()[-1])) == LIGHT


def test_the_table_of_helps_says_what_the_commands_say() -> None:
    tree = command()
    for name, (_, about) in COMMANDS_TABLE.items():
        assert tree.commands[name].get_short_help_str(80) == about, name
        assert tree.commands[name].name == name


@pytest.mark.parametrize("words", [[], ["show"], ["attackers"], ["critic", "calibrate"]], ids="-".join)
def test_h_is_help(words: list[str]) -> None:
    assert superalign(*words, "-h").stdout == superalign(*words, "--help").stdout != ""


def test_the_shell_completes_commands_and_options() -> None:
    def completed(line: str, word: int) -> list[str]:
        code = "import sys; sys.argv = ['superalign']; from superalign.cli.main import main; main()"
        environment = {"_SUPERALIGN_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(word)}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env=os.environ | environment
        )
        return done.stdout.split()

    assert completed("superalign re", 1) == ["resume", "report", "review", "recipe", "recipes"]
    assert "--dry-run" in completed("superalign run --d", 2)
    assert completed("superalign hazards a", 2) == ["add"]


def test_version() -> None:
    from superalign import __version__

    assert superalign("--version").stdout == f"superalign {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["nonsense"],
        ["run", "r.yaml", "--rounds", "0"],
        ["export", "d", "--format", "gguf", "--to", "x"],
        ["--what"],
    ],
)
def test_wrong_usage_exits_with_2(words: list[str]) -> None:
    done = superalign(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage:" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_says_what_would_be_chosen() -> None:
    data = json.loads(superalign("doctor", "--json").stdout)
    assert data["choice"]["pool"] in ("vllm", "transformers")
    assert data["machine"]["cores"] >= 1
    assert data["hub"].startswith("not asked")
    text = superalign("doctor").stdout
    assert "threads" in text
    assert max(map(len, text.splitlines())) <= 120


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "superalign.cli.main", "models", "list"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    said = process.stderr.read()
    process.wait(30)
    assert said == ""
