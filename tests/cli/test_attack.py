"""`superalign attack` as a person calls it, over the scripted recipe of the loop's tests."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from superalign.analysis.attacks.records import AttackReport
from superalign.records.exchange import Exchange
from superalign.store.journal import read_records
from superalign.store.round_folder import RoundFolder
from tests.cli.toy import ROOT, superalign

RECIPE = ROOT / "tests/loop/plan/recipe.yaml"


def attack(out: Path, *words: str) -> CompletedProcess[str]:
    """Without an embedder, so that no model is loaded."""
    return superalign("attack", str(RECIPE), "--out", str(out), *words, SUPERALIGN_HOME=str(out.parent / "home"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Attacks that nothing interrupted; to be read, not changed."""
    out = tmp_path_factory.mktemp("attack") / "out"
    done = attack(out, "--json")
    assert done.returncode == 0, done.stderr
    assert AttackReport.model_validate_json(json.dumps(json.loads(done.stdout)["rounds"][0]["attack"])).queries == 12
    return out


def test_only_attacks_are_played_and_all_of_them(whole: Path) -> None:
    round_folder = RoundFolder(whole, 1)
    names = {path.name for path in round_folder.path.iterdir()}
    assert names == {"exchanges.jsonl", "dropped.jsonl", "attack.json"}
    exchanges = list(read_records(round_folder.exchanges, Exchange))
    report = AttackReport.model_validate_json(round_folder.attack_json.read_bytes())
    assert report.queries == len(exchanges)
    assert report.success.rate == sum(bool(exchange.success) for exchange in exchanges) / len(exchanges)
    shown = superalign("show", str(whole)).stdout
    assert "-- attacks on scripted -" in shown
    assert "superalign resume" not in shown


def test_what_was_cut_short_ends_with_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    attack(out)
    round_folder, before = RoundFolder(out, 1), RoundFolder(whole, 1)
    lines = round_folder.exchanges.read_bytes().splitlines(keepends=True)
    round_folder.exchanges.write_bytes(b"".join(lines[:5]) + lines[5][:30])
    round_folder.attack_json.unlink()
    again = attack(out)
    assert again.returncode == 0, again.stderr
    assert "5 of 12, done before" in again.stderr
    assert round_folder.exchanges.read_bytes() == before.exchanges.read_bytes()
    assert round_folder.attack_json.read_bytes() == before.attack_json.read_bytes()


def test_what_is_finished_is_shown_and_not_played_again(whole: Path) -> None:
    again = attack(whole)
    assert (again.returncode, again.stderr) == (0, "")
    assert "- finished --" in again.stdout


def test_an_adapter_is_attacked_in_place_of_the_base(whole: Path, tmp_path: Path) -> None:
    adapter = tmp_path / "round-001"  # the script refuses from round 1 on
    adapter.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (adapter / name).write_text("{}")
    done = attack(tmp_path / "out", "--adapter", str(adapter), "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert data["attacked"] == "scripted with round-001"
    base = AttackReport.model_validate_json(RoundFolder(whole, 1).attack_json.read_bytes())
    assert data["rounds"][0]["attack"]["harmful"]["success"]["rate"] < base.harmful.success.rate


def test_another_aim_is_no_continuation(whole: Path, tmp_path: Path) -> None:
    done = attack(whole, "--model", "another")
    assert done.returncode == 1
    assert 'model: "scripted" -> "another"' in done.stderr
    resumed = superalign("resume", str(whole), "--recipe", str(RECIPE))
    assert resumed.returncode == 1
    assert "attacked.model" in resumed.stderr


def test_a_folder_without_an_adapter_is_named(tmp_path: Path) -> None:
    done = attack(tmp_path / "out", "--adapter", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path} is no LoRA adapter")
    assert not (tmp_path / "out").exists()
