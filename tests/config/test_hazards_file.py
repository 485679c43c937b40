"""A cluster that no hazard covers becomes one: from the next round on, in a fork, and in the next run's recipe."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from superalign.analysis.run_hazards import hazard_book
from superalign.assembly.attackers import Attackers
from superalign.attacker.seeds.load import load_seeds
from superalign.cli.hazards import add, list_hazards
from superalign.cli.text.round import failure_facts
from superalign.config.hazards_file import load_hazards
from superalign.errors import PromptFileError, RunFolderError
from superalign.store.atomic import write_json
from superalign.store.journal import write_records
from superalign.store.manifest import RunInputs, verify
from superalign.store.promote_fork import fork_run
from superalign.store.round_folder import HAZARDS_ADDED, RoundFolder
from superalign.store.run_folder import RunFolder
from tests.analysis.test_failure_clusters import KNOWN, NEW, embed, exchange, seed
from tests.cli.toy import make_run

MORE = [seed(f"garden more {n}", "benign") for n in range(3)]


def play(run: Path, number: int, failed, hazards=(), known=KNOWN):
    """Cluster failures as a run does at the end of a round's attacks."""
    round_folder = RoundFolder(run, number)
    round_folder.path.mkdir(parents=True, exist_ok=True)
    write_records(round_folder.exchanges, [exchange(s, 0.0) for s in failed])
    inputs = SimpleNamespace(seeds=known, hazards=hazards)
    attackers = Attackers(None, inputs, None, SimpleNamespace(path=run), None, None, embed)
    found = attackers.failures(round_folder)
    write_json(round_folder.failures_json, found)
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The third round is under way; garden is a kind of failure that no hazard covers."""
    run = make_run(tmp_path / "run")
    found = play(run, 3, [*KNOWN[:5], *NEW])
    assert [(c.id, c.emergent) for c in found.clusters] == [("r003-1", False), ("r003-2", True)]
    return run


def test_from_the_next_round_on_it_counts_and_bears_its_name(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add(run, "r003-2", "gardening", "harmless garden work", as_json=True)
    assert json.loads(capsys.readouterr().out)["goals"] == sorted(s.goal for s in NEW)
    assert verify(run) == []
    found = play(run, 4, MORE)
    assert [(c.nearest, c.emergent, c.own) for c in found.clusters] == [("gardening", False, True)]
    assert dict(failure_facts(found))["own hazard"] == "gardening: 3 goals needlessly refused (r004-1)"
    before = RoundFolder(run, 4).failures_json.read_bytes()
    add(run, "r003-1", "lock_picking", "", as_json=False)  # what a round began with stands, also after a kill
    play(run, 4, MORE)
    assert RoundFolder(run, 4).failures_json.read_bytes() == before
    add(run, "r003-2", "gardening", "harmless garden work", as_json=False)  # sent twice
    assert [hazard.name for hazard in hazard_book(run).read()] == ["gardening", "lock_picking"]
    taken = play(run, 5, KNOWN[:5])
    assert [c.nearest for c in taken.clusters] == ["lock_picking"]  # a person's word about a goal over its seed's


def test_list_names_what_is_known_and_what_is_open(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    list_hazards(run, as_json=False)
    assert "emergent    r003-2: 4 goals needlessly refused" in capsys.readouterr().out
    add(run, "r003-2", "gardening", "", as_json=False)
    capsys.readouterr()
    list_hazards(run, as_json=True)
    data = json.loads(capsys.readouterr().out)
    assert ([h["name"] for h in data["run"]], data["emergent"], data["recipe"]) == (["gardening"], [], [])


@pytest.mark.parametrize(
    ("cluster", "name", "words"),
    [
        ("r003-9", "gardening", "no cluster r003-9; did you mean r003-1|no cluster r003-9; did you mean r003-2"),
        ("r003-2", "Gar den", "can't be a hazard's"),
        ("r003-2", "privacy", "the taxonomy has a hazard of that name"),
        ("r003-2", "locks", "locks is a hazard already, made of r003-1"),
        ("r003-1", "gardening", "r003-1 is the hazard locks already"),
    ],
)
def test_what_can_be_no_hazard_is_refused(run: Path, cluster: str, name: str, words: str) -> None:
    add(run, "r003-1", "locks", "", as_json=True)
    with pytest.raises(RunFolderError, match=words):
        add(run, cluster, name, "", as_json=True)
    assert [hazard.name for hazard in hazard_book(run).read()] == ["locks"]


def test_neither_an_empty_folder_nor_a_run_without_clusters(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="not a run folder"):
        add(tmp_path, "r001-1", "gardening", "", as_json=True)
    with pytest.raises(RunFolderError, match="there is no cluster of failures"):
        add(make_run(tmp_path / "run"), "r001-1", "gardening", "", as_json=True)


def test_a_fork_takes_over_what_its_rounds_found(run: Path, tmp_path: Path) -> None:
    found = RoundFolder(run, 3).failures_json.read_text()
    add(run, "r003-2", "gardening", "", as_json=True)
    RoundFolder(run, 4).path.mkdir()
    write_json(RoundFolder(run, 4).failures_json, json.loads(found.replace("r003-", "r001-")))
    add(run, "r001-1", "locks", "", as_json=True)
    with RunFolder.open(run, read_only=True) as source:
        fork_run(source, 1, tmp_path / "fork", "name: toy\n", source.resolved, RunInputs())
    assert [hazard.name for hazard in hazard_book(tmp_path / "fork").read()] == ["locks"]


def test_the_next_run_knows_it_and_its_seeds_may_name_it(run: Path, tmp_path: Path) -> None:
    add(run, "r003-2", "gardening", "", as_json=True)
    hazards = load_hazards(f"run/{HAZARDS_ADDED}", tmp_path)
    rows = tmp_path / "rows.yaml"
    rows.write_text("- {goal: garden anew, intent: harmful, hazard: gardening, lookalikes: [garden again]}\n")
    seeds = load_seeds([rows.name], tmp_path, [hazard.name for hazard in hazards]).seeds
    assert [(s.hazard, s.tags, s.kind) for s in seeds] == [
        (None, ("hazard:gardening",), "harmful"),
        (None, ("hazard:gardening",), "lookalike"),
    ]
    assert [c.nearest for c in play(tmp_path, 1, MORE, hazards).clusters] == ["gardening"]
    assert [c.nearest for c in play(tmp_path, 2, MORE, known=[*KNOWN, *seeds]).clusters] == ["gardening"]
    rows.write_text("- {goal: a, intent: benign, hazard: gardning}\n- {goal: b, intent: benign, tags: [hazard:x]}\n")
    with pytest.raises(
        PromptFileError, match=r"(?s):1: hazard 'gardning'.*mean gardening\?.*:2: tag hazard:x: hazard x"
    ):
        load_seeds([rows.name], tmp_path, ["gardening"])


def test_faults_of_a_file_of_hazards_have_lines(tmp_path: Path) -> None:
    lines = ['{"name": "hate", "goals": ["a"]}', '{"name": "new", "goals": []}', '{"name": "one", "goals": ["a"]}']
    (tmp_path / "h.jsonl").write_text("\n".join([*lines, lines[-1]]))
    with pytest.raises(PromptFileError) as error:
        load_hazards("h.jsonl", tmp_path)
    said = str(error.value).splitlines()
    assert [line.partition("h.jsonl:")[2].split(":")[0] for line in said] == ["1", "2", "4"]
    assert "hate is a hazard of the taxonomy" in said[0]
    assert "a hazard one was already given" in said[2]


def test_a_name_of_the_recipes_own_file_is_taken(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "h.jsonl").write_text('{"name": "gardening", "goals": ["garden one"]}\n')
    write_json(run / "resolved.json", {"name": "toy", "hazards": "h.jsonl"})
    write_json(run / "origin.json", {"recipe": str(tmp_path / "recipe.yaml")})
    with pytest.raises(RunFolderError, match="the recipe's file of hazards has a hazard of that name"):
        add(run, "r003-2", "gardening", "", as_json=True)
    list_hazards(run, as_json=False)
    assert "recipe      gardening, 1 goals" in capsys.readouterr().out
