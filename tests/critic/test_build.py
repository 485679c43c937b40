"""From options to critics: what is loaded, who is asked, and how a command line names a judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from superalign.assembly.plan import learner_alone
from superalign.config.inputs import Inputs, prompt_files
from superalign.config.recipe import Recipe, load_recipe
from superalign.critic.options import CommitteeOptions, ProbeOptions, RulesOptions, critic_given
from superalign.errors import PromptFileError, RecipeError
from superalign.evaluation.options import EvaluationOptions
from superalign.pool.options import ScriptedOptions
from superalign.records.exchange import Verdict
from superalign.standalone.evaluate_models import EvaluationSettings, Subject, measure
from tests.critic.toys import GOOD, built, response, scripted

RULES = {"type": "rules"}
GUARD = {"type": "guard", "template": "critic/guards/shieldgemma.md"}
CHECKS = {"type": "checks", "checks": [{"id": "short", "kind": "length", "max_words": 99}]}
EVERYTHING = [
    RULES, {"type": "rubric"}, GUARD, {"type": "logprob"}, CHECKS,
    {"type": "second_look", "first": {"type": "committee", "members": [RULES, CHECKS]}},
]  # fmt: skip


def recipe(critic: dict[str, Any], **more: Any) -> Recipe:
    judge = {"type": "rules", "trust_intent": False}
    given = {"name": "t", "model": "m", "critic": critic, "judge": judge, "evaluation": {}, **more}
    return Recipe.model_validate(given)


async def test_a_committee_of_everything() -> None:
    pool = scripted({"when": "Chatbot Response", "replies": ["Yes"]}, fallback=GOOD)
    critic = await built({"type": "committee", "members": EVERYTHING}, pool)
    verdict: Verdict = (await critic.critique(response())).verdict
    names = [vote.critic for vote in verdict.votes]
    assert names == ["rules", "rubric", "guard", "logprob", "checks", "second_look"]
    assert verdict.score is not None
    assert verdict.disagreement is not None
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict


def test_every_prompt_inside_a_critic_belongs_to_the_run(tmp_path: Path) -> None:
    found = prompt_files(recipe({"type": "committee", "members": EVERYTHING}), tmp_path)
    for name in ("rubric", "guards/shieldgemma", "logprob", "second_look", "verdict_form"):
        assert f"critic/{name}.md" in found
    assert "critic/rubric.md" not in prompt_files(recipe(RULES), tmp_path)


def test_a_missing_prompt_is_found_before_anything_starts(tmp_path: Path) -> None:
    committee = {"type": "committee", "members": [RULES, {"type": "rubric", "prompt": "mine.md"}]}
    with pytest.raises(PromptFileError, match=r"mine\.md: no such prompt file"):
        Inputs.load(recipe(committee), tmp_path)


@pytest.mark.parametrize(
    ("critic", "roles", "alone"),
    [
        (RULES, {}, True),
        (CHECKS, {}, True),
        ({"type": "rubric"}, {}, False),
        ({"type": "rubric", "model": "other"}, {}, True),
        ({"type": "rubric", "model": "m"}, {}, False),
        ({"type": "rubric"}, {"critic": {"model": "other"}}, True),
        ({"type": "committee", "members": [RULES, GUARD]}, {}, False),
        ({"type": "committee", "members": [RULES, GUARD | {"model": "guard"}]}, {}, True),
        ({"type": "second_look", "first": {"type": "logprob"}, "model": "other"}, {}, False),
        ({"type": "debate", "model": "big", "judge": {"model": "small"}}, {}, True),
        ({"type": "debate", "model": "big"}, {}, False),
    ],
)
def test_who_asks_the_learners_base(tmp_path: Path, critic: dict[str, Any], roles: dict[str, Any], alone: bool) -> None:
    asked = recipe(critic, roles=roles, attacker={"mix": {"direct": 1}})
    assert learner_alone(asked, Inputs.load(asked, tmp_path)) is alone


def test_a_judge_is_named_by_its_kind_or_by_a_file(tmp_path: Path) -> None:
    assert (critic_given("rules", tmp_path), critic_given("probe", tmp_path)) == (RulesOptions(), ProbeOptions())
    (tmp_path / "judge.yaml").write_text("type: committee\nmembers:\n  - type: rules\n  - type: probe\n")
    assert critic_given("judge.yaml", tmp_path) == CommitteeOptions(members=(RulesOptions(), ProbeOptions()))


class Nobody:
    """An observer who sees nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *told: None


async def test_an_evaluation_is_judged_by_the_critic_of_a_file(tmp_path: Path) -> None:
    judge = tmp_path / "judge.yaml"
    judge.write_text(f"type: committee\nmembers:\n  - type: rules\n  - {json.dumps(CHECKS)}\n")
    options = EvaluationOptions.model_validate({"suites": [{"file": "lookalike", "limit": 3}]})
    question = EvaluationSettings(options=options, judge=str(judge), pool=ScriptedOptions())
    evaluation = await measure(Subject("some", "some/model"), question, tmp_path / "out", Nobody())
    assert evaluation.judge == str(judge)
    items = [json.loads(line) for line in (tmp_path / "out/items.jsonl").open()]
    votes = [[vote["critic"] for vote in item["verdict"]["votes"]] for item in items]
    assert votes == [["rules", "checks"]] * 3


def test_a_kind_that_needs_no_options_is_named_alone(tmp_path: Path) -> None:
    assert critic_given("strongreject", tmp_path).type == "strongreject"
    assert critic_given("probe", tmp_path) == ProbeOptions()
    with pytest.raises(PromptFileError, match=r"guard needs options \(template\); name a YAML file"):
        critic_given("guard", tmp_path)


def test_faults_of_a_judges_file_come_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "judge.yaml").write_text("type: committee\nmembers:\n  - type: rules\n  - type: rubric\n    promt: x\n")
    with pytest.raises(PromptFileError, match=r"judge\.yaml:5: .*promt"):
        critic_given("judge.yaml", tmp_path)
    with pytest.raises(PromptFileError, match="no such prompt file"):
        critic_given("nobody.yaml", tmp_path)


def test_a_fault_inside_a_committee_has_its_line_and_the_nearest_key(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(
        "name: t\nmodel: m\njudge: {type: rules}\nevaluation: {}\ncritic:\n  type: committee\n  members:\n"
        "    - type: probe\n    - type: rubric\n      promt: x\n"
    )
    with pytest.raises(RecipeError, match=r"r\.yaml:10: critic\.members\.1\.promt: unknown key; did you mean prompt\?"):
        load_recipe(path)
