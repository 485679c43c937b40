"""TensorBoard for real, read back; wandb and trackio against a stand-in with the calls that their releases have."""

import sys
from types import SimpleNamespace

import pytest

from superalign.analysis.summary import summarise
from superalign.cli.main import main
from superalign.errors import RecipeError
from superalign.store.run_folder import RunFolder
from superalign.tracking import Tracking, figures, require


def read_back(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "logs" / "tensorboard"))
    found.Reload()
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def track(run, name):
    with RunFolder.open(run) as folder:
        tracking = Tracking(name, folder)
        tracking.catch_up()
        tracking.close()


def test_tensorboard_reads_every_sealed_round_once(toy):
    with RunFolder.open(toy, read_only=True) as folder:
        sealed = [summary for summary in summarise(folder).rounds if summary.done]
    for _ in range(3):  # a resumed run sends nothing twice
        track(toy, "tensorboard")
    found = read_back(toy)
    assert len(sealed) > 1
    assert {tag for summary in sealed for tag in figures(summary)} == set(found)
    for tag, points in found.items():
        expected = [(s.round, figures(s)[tag]) for s in sealed if tag in figures(s)]
        assert [step for step, _ in points] == [step for step, _ in expected]
        assert [value for _, value in points] == pytest.approx([value for _, value in expected])


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_the_others_get_one_run_that_is_resumed(toy, monkeypatch, capsys, name):
    begun, logged = [], []

    def init(project, *, name, config, resume, **more):
        begun.append((project, name, more.get("id"), resume))
        print("hello from the tracker")
        return SimpleNamespace(
            log=lambda metrics, step: logged.append((step, metrics)), finish=lambda: logged.append("finished")
        )

    stand_in = SimpleNamespace(init=init, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, name, stand_in)
    for _ in range(2):
        track(toy, name)
    assert capsys.readouterr().out == ""
    assert len(set(begun)) == 1
    assert begun[0][3] == "allow"
    assert logged[-2:] == ["finished", "finished"]
    steps = [entry[0] for entry in logged[:-2]]
    assert steps == sorted(set(steps))
    assert steps[0] == 0


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackio", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    require(None)
    with pytest.raises(RecipeError, match="trackio is not installed"):
        require("trackio")


def test_the_dry_run_says_so(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(
        sys, "argv", ["superalign", "run", "recipes/quickstart.yaml", "--dry-run", "--set", "track=wandb"]
    )
    with pytest.raises(SystemExit):
        main()
    assert "pip install wandb" in capsys.readouterr().err
