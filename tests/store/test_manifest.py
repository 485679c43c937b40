"""verify: each planted alteration is found, by name, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from superalign.errors import RunFolderError
from superalign.files.hashes import sha256_bytes, sha256_file
from superalign.store.atomic import canonical
from superalign.store.manifest import Manifest, verify
from superalign.store.round_folder import RoundFolder
from superalign.store.run_folder import RunFolder


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def plant(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return plant


def remove(name: str) -> Callable[[Path], None]:
    return lambda run: (run / name).unlink()


def forge_link(run: Path) -> None:
    """Alter a file and its hash in the manifest, but not the link."""
    edit("rounds/001/promotion.json", "toy", "fair")(run)
    fields = json.loads((run / "manifest.json").read_text())
    name = "rounds/001/promotion.json"
    fields["rounds"][1]["artefacts"][name] = sha256_file(run / name)
    (run / "manifest.json").write_text(json.dumps(fields))


def forge_round(run: Path) -> None:
    """Alter a file, its hash and its round's link: the next round still holds the old one, and so does DONE."""
    forge_link(run)
    fields = json.loads((run / "manifest.json").read_text())
    link = fields["rounds"][1]
    link["link"] = sha256_bytes(canonical({key: link[key] for key in ("round", "artefacts", "previous")}))
    (run / "manifest.json").write_text(json.dumps(fields))


def forget_last_round(run: Path) -> None:
    fields = json.loads((run / "manifest.json").read_text())
    fields["rounds"].pop()
    (run / "manifest.json").write_text(json.dumps(fields))


def swap_rounds(run: Path) -> None:
    fields = json.loads((run / "manifest.json").read_text())
    fields["rounds"].reverse()
    (run / "manifest.json").write_text(json.dumps(fields))


PLANTED = {
    "recipe": (edit("recipe.yaml", "2", "3"), {("recipe.yaml", "altered")}),
    "resolved": (edit("resolved.json", "0.1", "0.2"), {("resolved.json", "altered")}),
    "exchange": (edit("rounds/001/exchanges.jsonl", "thanks", "Thanks"), {("rounds/001/exchanges.jsonl", "altered")}),
    "weights": (
        lambda run: (run / "rounds/001/adapter/adapter_model.safetensors").write_bytes(b"x"),
        {("rounds/001/adapter/adapter_model.safetensors", "altered")},
    ),
    "adapter gone": (
        lambda run: shutil.rmtree(run / "rounds/002/adapter"),
        {
            ("rounds/002/adapter/adapter_model.safetensors", "missing"),
            ("rounds/002/adapter/adapter_config.json", "missing"),
        },
    ),
    "evaluation gone": (remove("rounds/000/evaluation.json"), {("rounds/000/evaluation.json", "missing")}),
    "added": (lambda run: (run / "rounds/002/more.jsonl").write_text("{}\n"), {("rounds/002/more.jsonl", "added")}),
    "added below": (lambda run: (run / "rounds/001/adapter/x").write_text(""), {("rounds/001/adapter/x", "added")}),
    "done": (edit("rounds/001/DONE", "\n", " \n"), {("rounds/001/DONE", "altered")}),
    "done gone": (remove("rounds/002/DONE"), {("rounds/002/DONE", "missing")}),
    "forged hash": (forge_link, {("manifest.json", "broken")}),
    "forged link": (forge_round, {("manifest.json", "broken"), ("rounds/001/DONE", "altered")}),
    "forgotten round": (forget_last_round, {("rounds/002/DONE", "broken")}),
    "swapped rounds": (swap_rounds, {("manifest.json", "broken")}),
    "manifest gone": (remove("manifest.json"), {("manifest.json", "missing")}),
    "manifest version": (edit("manifest.json", '"version": 1', '"version": 2'), {("manifest.json", "broken")}),
    "current": (edit("CURRENT", "round-001", "round-002"), {("CURRENT", "altered")}),
    "current rolled back": (
        lambda run: shutil.copy(run / "rounds/000/checkpoint.json", run / "CURRENT"),
        {("CURRENT", "altered")},
    ),
    "refused is current": (
        lambda run: shutil.copy(run / "rounds/002/checkpoint.json", run / "CURRENT"),
        {("CURRENT", "altered")},
    ),
    "current gone": (remove("CURRENT"), {("CURRENT", "missing")}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_alteration(name: str, run_path: Path) -> None:
    plant, expected = PLANTED[name]
    assert verify(run_path) == []
    plant(run_path)
    findings = verify(run_path)
    found = {(finding.path, finding.kind) for finding in findings}
    assert found >= expected if name == "swapped rounds" else found == expected
    assert all(finding.path in finding.message for finding in findings)


def test_what_holds_times_is_outside_the_chain(run_path: Path) -> None:
    round_folder = RoundFolder(run_path, 1)
    round_folder.training_dir.mkdir()
    (round_folder.training_dir / "state.pt").write_text("x")
    (round_folder.path / "timing.json").write_text("{}")
    (round_folder.path / "engine.log").write_text("x")
    (run_path / "report.html").write_text("x")
    (run_path / "events.jsonl").write_text("")
    assert verify(run_path) == []


def test_a_round_is_not_sealed_twice_over_other_files(run_path: Path) -> None:
    with RunFolder.open(run_path) as folder:
        last = folder.round(2)
        before = (run_path / "manifest.json").read_bytes()
        last.done.unlink()
        folder.seal(2)  # as after a kill between the link and DONE
        assert (run_path / "manifest.json").read_bytes() == before
        last.evaluation_json.write_text("{}")
        with pytest.raises(RunFolderError, match="sealed before, over other files"):
            folder.seal(2)
        with pytest.raises(RunFolderError, match="can't be sealed before round 3"):
            folder.seal(5)


def test_the_head_follows_the_last_round(run_path: Path) -> None:
    manifest = Manifest.model_validate_json((run_path / "manifest.json").read_bytes())
    assert manifest.head + "\n" == RoundFolder(run_path, 2).done.read_text()
    assert manifest.model_copy(update={"rounds": ()}).head == manifest.rounds[0].previous
