"""`critic calibrate`, the floor it feeds, and what `show` makes of the figures."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from superalign.analysis.summary import summarise
from superalign.assembly.plan import resolve
from superalign.cli.text.round import round_block
from superalign.config.critic_calibration import calibration_of, fingerprint
from superalign.config.recipe import Recipe, load_recipe
from superalign.critic.quality.report import Calibration, load_calibration
from superalign.errors import RecipeError
from superalign.files.find import prompt_path
from superalign.store.atomic import write_json
from superalign.store.run_folder import RunFolder
from tests.cli.toy import superalign

RECIPE = """
name: measured
model: smollm2-135m
pool: {type: transformers}
critic: {type: rules}
judge: {type: rules, trust_intent: false}
evaluation: {suites: [harmful, ordinary], limit: 4}
"""
REFUSALS = ("I'm sorry, but I can't help with that.", "I cannot assist with this request.")
ANSWERS = ("Sure, first take the lid off.", "Here is a plan: begin at dawn.", "Boil it for an hour.")


@pytest.fixture
def base_dir(tmp_path: Path) -> Path:
    """A recipe, and labels of people with whom the rules mostly agree."""
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    rng, rows = random.Random(0), []
    for i in range(120):
        refused, harmful = rng.random() < 0.5, i % 2 == 0
        reply = rng.choice(REFUSALS if refused else ANSWERS)
        right = rng.random() < 0.95
        harm = int((harmful and not refused) == right)
        rows.append(
            {"prompt": f"Do thing {i}.", "reply": reply, "h0": harm, "h1": harm, "h2": 1 - harm if i % 9 == 0 else harm,
             "intent": "harmful" if harmful else "benign", "hazard": "hate" if i % 3 else "privacy"}
        )  # fmt: skip
    (tmp_path / "labels.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def calibrate(base_dir: Path, *words: str) -> str:
    done = superalign(
        "critic", "calibrate", "recipe.yaml", "--labels", "labels.jsonl", "--columns", "harm=h0,h1,h2", *words,
        cwd=base_dir,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_the_json_and_the_file_say_the_same(base_dir: Path) -> None:
    text = calibrate(base_dir, "--guarantee", "0.8", "--delta", "0.1", "--out", "critic.json")
    found = load_calibration(base_dir / "critic.json")
    harm = found.questions["harm"]
    assert harm.overall.kappa is not None
    assert 0.75 < harm.overall.kappa.value < 1.0
    assert f"kappa         {harm.overall.kappa.value:.3f} (" in text
    for words in ("120 labelled by 3 people", "Krippendorff's alpha", "platt", "guarantee", "privacy", "hate"):
        assert words in text, words
    assert harm.promise is not None
    assert harm.promise.reason[:20] in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    data = json.loads(calibrate(base_dir, "--guarantee", "0.8", "--delta", "0.1", "--json"))
    assert Calibration.model_validate(data) == found


def test_a_critic_is_told_nothing_of_intents_where_the_file_does_not_say(base_dir: Path) -> None:
    rows = [json.loads(line) for line in (base_dir / "labels.jsonl").read_text().splitlines()]
    bare = [{key: value for key, value in row.items() if key != "intent"} for row in rows]
    (base_dir / "labels.jsonl").write_text("\n".join(map(json.dumps, bare)))
    harm = json.loads(calibrate(base_dir, "--json"))["questions"]["harm"]
    assert (harm["overall"]["n"], harm["overall"]["abstained"]["rate"]) == (0, 1.0)  # rules judge no harm untold


@pytest.mark.parametrize("words", [["--guarantee", "1.5"], ["--guarantee", "0.9", "--delta", "0"], ["--critic", "me"]])
def test_wrong_usage_is_told_at_once(base_dir: Path, words: list[str]) -> None:
    done = superalign("critic", "calibrate", "recipe.yaml", "--labels", "labels.jsonl", *words, cwd=base_dir)
    assert (done.returncode, done.stdout) == (2, "")


def recipe_of(base_dir: Path, *overrides: str) -> Recipe:
    return load_recipe(base_dir / "recipe.yaml", overrides)[0]


def test_a_run_is_refused_below_the_floor_and_without_a_measurement(base_dir: Path) -> None:
    refused = superalign("run", "recipe.yaml", "--set", "floor.kappa=0.4", cwd=base_dir)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "this critic was never measured, so nothing is trained on its word" in refused.stderr
    assert not (base_dir / "runs").exists()
    calibrate(base_dir, "--out", "critic.json")
    named = ["critic_calibration=critic.json"]
    assert "measured_critic" in resolve(recipe_of(base_dir, *named, "floor.kappa=0.4"), base_dir)[0]
    with pytest.raises(RecipeError, match=r"the critic rules is not good enough .*kappa 0\.\d+ .* is below 0.99"):
        resolve(recipe_of(base_dir, *named, "floor.kappa=0.99"), base_dir)
    assert "critic.json" in resolve(recipe_of(base_dir, *named), base_dir)[1].prompts  # a part of the run's inputs


def test_a_measurement_of_another_critic_does_not_count(base_dir: Path) -> None:
    calibrate(base_dir, "--out", "critic.json")
    named = ["critic_calibration=critic.json"]
    assert calibration_of(recipe_of(base_dir, *named), base_dir) is not None
    for change in ("critic.trust_intent=false", "critic={type: probe}"):
        with pytest.raises(RecipeError, match="is of another critic than the recipe's"):
            calibration_of(recipe_of(base_dir, *named, "allow_same_judge=true", change), base_dir)
    with pytest.raises(RecipeError, match="recipe.yaml:.*critic_calibration: none.json"):
        recipe_of(base_dir, "critic_calibration=none.json")


def test_experts_are_a_part_of_the_critic_that_learns_from_them_alone(base_dir: Path) -> None:
    (base_dir / "own.yaml").write_bytes(prompt_path("experts.yaml").read_bytes())
    for critic, same in (("rules", True), ("probe", False)):
        named = [f"critic={{type: {critic}}}", "allow_same_judge=true"]
        plain, taught = (
            fingerprint(recipe_of(base_dir, *named, *more), base_dir) for more in ([], ["experts=own.yaml"])
        )
        assert (plain == taught) == same


def test_a_critic_is_another_when_a_file_it_reads_has_changed(base_dir: Path) -> None:
    (base_dir / "plug.py").write_text("class A:\n    def critique(self, messages, reply):\n        return {}\n")
    recipe = recipe_of(base_dir, "critic={type: plugin, path: plug.py}")
    before = fingerprint(recipe, base_dir)
    assert fingerprint(recipe, base_dir) == before
    (base_dir / "plug.py").write_text(
        "class A:\n    def critique(self, messages, reply):\n        return {'harm': 1}\n"
    )
    assert fingerprint(recipe, base_dir) != before


def test_show_corrects_the_rate_and_holds_critic_against_judge(toy: Path) -> None:
    with RunFolder.open(toy, read_only=True) as folder:
        plain = summarise(folder)
    assert plain.rounds[1].corrected_harm is None
    assert (plain.rounds[1].divergence, plain.rounds[3].divergence) == ((), ())
    harmful, benign = plain.rounds[2].divergence
    assert (harmful.critic_gain, harmful.judge_gain) == (0.0, pytest.approx(0.975))
    assert not harmful.alarm  # the judge sees the gain, the critic none
    said = " ".join(round_block(plain.rounds[2], 80).split())
    assert "compliance with harmful requests stayed by the critic, fell 97.5 points by the judge" in said
    assert benign.side == "benign"
    resolved = json.loads((toy / "resolved.json").read_text())
    rate = {"rate": 0.9, "low": 0.8, "high": 0.95, "n": 100, "unscored": 0}
    write_json(toy / "resolved.json", resolved | {"measured_critic": {"sensitivity": rate, "specificity": rate}})
    with RunFolder.open(toy, read_only=True) as folder:
        corrected = summarise(folder).rounds[1].corrected_harm
    assert corrected is not None
    assert corrected.rate == pytest.approx((2 / 3 + 0.9 - 1) / 0.8)
    assert corrected.n == 3
