"""Other people's data sets and tools' files, in small ones of the same shape."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from superalign.attacker.options import SeedFile
from superalign.attacker.seeds.load import load_seeds
from superalign.attacker.seeds.taxonomy import hazard_of, intent_of
from superalign.errors import PromptFileError
from superalign.records.base import HAZARDS
from superalign.records.rollout import Seed


def put(folder: Path, name: str, text: str) -> str:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return name


def load(folder: Path, name: str, text: str, **entry: Any) -> list[Seed]:
    return load_seeds([SeedFile(path=put(folder, name, text), **entry)], folder).seeds


def test_harmbench(tmp_path: Path) -> None:
    text = (
        "Behavior,FunctionalCategory,SemanticCategory,Tags,ContextString,BehaviorID\n"
        '"Do a, then b",standard,cybercrime_intrusion,,,do_a\nSing a song,copyright,copyright,,,sing\n'
        "Spread a rumour,standard,misinformation_disinformation,,,rumour\n"
    )
    columns = {"goal": "Behavior", "hazard": "SemanticCategory", "id": "BehaviorID"}
    seeds = load(tmp_path, "h.csv", text, columns=columns, intent="harmful", where={"FunctionalCategory": "standard"})
    assert [(s.id, s.goal, s.hazard) for s in seeds] == [
        ("do_a", "Do a, then b", "nonviolent_crimes"), ("rumour", "Spread a rumour", None),
    ]  # fmt: skip


def test_advbench_and_strongreject_and_jailbreakbench(tmp_path: Path) -> None:
    assert load(tmp_path, "a.csv", "goal,target\nx,y\n", intent="harmful")[0].goal == "x"
    [one] = load(
        tmp_path, "s.csv", 'category,source,forbidden_prompt\n"Hate, harassment and discrimination",c,x\n',
        columns={"goal": "forbidden_prompt", "hazard": "category"}, intent="harmful",
    )  # fmt: skip
    [two] = load(
        tmp_path, "j.csv", "Index,Goal,Target,Behavior,Category,Source\n0,x,t,b,Malware/Hacking,o\n",
        columns={"goal": "Goal", "hazard": "Category"}, intent="benign",
    )  # fmt: skip
    assert (one.hazard, two.hazard, two.kind) == ("hate", "nonviolent_crimes", "lookalike")


def test_xstest_and_wildjailbreak(tmp_path: Path) -> None:
    rows = "id,prompt,type,label\n1,How do I kill a process?,homonyms,safe\n2,How do I hurt a man?,contrast,unsafe\n"
    seeds = load(tmp_path, "x.csv", rows, columns={"intent": "label", "tags": "type"})
    assert [(s.intent, s.tags) for s in seeds] == [("benign", ("homonyms",)), ("harmful", ("contrast",))]
    rows = "vanilla\tadversarial\tdata_type\nx\tw\tadversarial_harmful\ny\tv\tvanilla_benign\n"
    seeds = load(tmp_path, "w.tsv", rows, columns={"goal": "adversarial", "intent": "data_type"})
    assert [(s.goal, s.intent) for s in seeds] == [("w", "harmful"), ("v", "benign")]


def test_categories_are_known_by_their_words() -> None:
    for text in ("Malware/Hacking", "malware_hacking", " MALWARE - hacking"):
        assert hazard_of(text) == "nonviolent_crimes"
    assert {hazard_of(hazard) for hazard in HAZARDS} == set(HAZARDS)
    assert hazard_of("chemical_biological") == "indiscriminate_weapons"
    assert (hazard_of("Disinformation"), intent_of("perhaps")) == (None, None)


def test_an_unknown_category_is_a_notice_in_a_renamed_column_and_a_fault_under_our_name(tmp_path: Path) -> None:
    name = put(tmp_path, "a.csv", "goal,Category\nx,Disinformation\ny,Disinformation\nz,Privacy\n")
    loaded = load_seeds([SeedFile(path=name, columns={"hazard": "Category"}, intent="harmful")], tmp_path)
    assert [seed.hazard for seed in loaded.seeds] == [None, None, "privacy"]
    assert loaded.notices == [f"{tmp_path / name}: no hazard of ours for Disinformation (2)"]
    name = put(tmp_path, "b.csv", "goal,hazard\nx,Disinformation\n")
    with pytest.raises(PromptFileError, match=r"b\.csv:2: hazard 'Disinformation' is not known; .*known: .*privacy"):
        load_seeds([SeedFile(path=name, intent="harmful")], tmp_path)


def test_repetitions_are_a_fault_in_own_files_and_a_notice_in_others(tmp_path: Path) -> None:
    name = put(tmp_path, "a.csv", "goal,intent\nbake bread,benign\nBake  bread.,benign\n")
    with pytest.raises(PromptFileError, match=r"a\.csv:3: goal of a-0002 was already given in .*a\.csv:2"):
        load_seeds([name], tmp_path)
    name = put(tmp_path, "b.csv", "q,intent\nbake bread,benign\nBake  bread.,benign\n")
    loaded = load_seeds([SeedFile(path=name, columns={"goal": "q"})], tmp_path)
    assert [seed.id for seed in loaded.seeds] == ["b-0001"]
    assert "1 goals that were there already are left out" in loaded.notices[0]


def garak(**more: Any) -> str:
    data = {"garak_payload_name": "Toys", "payload_types": ["Text"], "detector_name": "", "payloads": ["a [b", "c"]}
    return json.dumps(data | more, indent=2)


def test_garak_payloads_load_as_they_are(tmp_path: Path) -> None:
    seeds = load(tmp_path, "g.json", garak(lang="en", intent="S000x"))
    assert [(s.goal, s.intent, s.language, s.tags) for s in seeds] == [
        ("a [b", "harmful", "en", ("Text",)), ("c", "harmful", "en", ("Text",)),
    ]  # fmt: skip
    assert load(tmp_path, "h.json", garak(lang="*"), intent="benign")[0].language is None
    with pytest.raises(PromptFileError, match=r"i\.json:8: intent is missing in every row"):
        load(tmp_path, "i.json", garak(lang="*"))
    with pytest.raises(PromptFileError, match=r"j\.json:1: `payloads` is no list of texts"):
        load(tmp_path, "j.json", garak(payloads=[1]))


PYRIT = """dataset_name: toys
harm_categories: violence
data_type: text
seeds:
  - value: Take a toy away.
  - value: Break a toy.
    harm_categories: [Privacy loss, other]
  - value: Say hello.
    role: user
    sequence: 0
    prompt_group_alias: talk
  - value: Hello.
    role: assistant
    sequence: 1
    prompt_group_alias: talk
  - value: Now help me cheat.
    role: user
    sequence: 2
    prompt_group_alias: talk
  - value: toy.png
    data_type: image_path
"""


def test_pyrit_seeds_load_as_they_are(tmp_path: Path) -> None:
    loaded = load_seeds([put(tmp_path, "p.prompt", PYRIT)], tmp_path)
    assert [(s.goal, s.hazard, s.turns) for s in loaded.seeds] == [
        ("Take a toy away.", "violent_crimes", ()), ("Break a toy.", "privacy", ()),
        ("Now help me cheat.", "violent_crimes", ("Say hello.", "Now help me cheat.")),
    ]  # fmt: skip
    assert {seed.intent for seed in loaded.seeds} == {"harmful"}
    assert loaded.notices == [f"{tmp_path / 'p.prompt'}: 1 of 4 seeds left out: they are more than text"]


def test_a_pyrit_objective_is_the_goal_of_its_groups_turns(tmp_path: Path) -> None:
    text = (
        "seeds:\n  - {value: Get a toy., seed_type: objective, prompt_group_alias: g}\n"
        "  - {value: Which toys are there?, prompt_group_alias: g, role: user}\n"
    )
    [seed] = load(tmp_path, "p.yaml", text.replace("there?,", "there,"), intent="harmful")
    assert (seed.goal, seed.turns) == ("Get a toy.", ("Which toys are there",))


def test_a_pyrit_template_is_a_strategy(tmp_path: Path) -> None:
    text = (
        "name: Toy\ndescription: A toy template\nparameters:\n  - prompt\ndata_type: text\nvalue: |\n"
        "  This prompt is for toys.\n  {% if prompt %}{{ prompt }}{% endif %}\n  {% raw %}{{ kept }}{% endraw %}\n"
    )
    [strategy] = load_seeds([put(tmp_path, "toy.yaml", text)], tmp_path).templates
    assert (strategy.name, strategy.meta.description) == ("toy", "A toy template")
    content = strategy.template.messages(goal="Bake bread.")[0].content  # type: ignore[union-attr]
    assert content == "This prompt is for toys.\nBake bread.{{ kept }}"
    more = put(tmp_path, "more.yaml", text.replace("  - prompt", "  - prompt\n  - group"))
    with pytest.raises(PromptFileError, match="needs group, and a goal is all there is"):
        load_seeds([more], tmp_path)
    both = load_seeds([tmp_path.name], tmp_path.parent)
    assert [template.name for template in both.templates] == ["toy"]
    assert "more.yaml: left out" in both.notices[0]
    bad = put(tmp_path, "bad.yaml", text.replace("{{ kept }}{% endraw", "{% endraw").replace("toys.", "{{ toys() }}"))
    with pytest.raises(PromptFileError, match=r"bad\.yaml:7: a call is not allowed here"):
        load_seeds([bad], tmp_path)


def test_the_hub_is_read_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, config: str | None, split: str) -> list[dict[str, Any]]:
        asked.append((name, config, split))
        return [{"Goal": "x", "Category": "Privacy"}, {"Goal": "y", "Category": "Privacy"}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.setenv("SUPERALIGN_HOME", str(tmp_path))
    entry = SeedFile(
        path="hub:toys/set/behaviors:harmful", columns={"goal": "Goal", "hazard": "Category"}, intent="harmful"
    )
    first, second = load_seeds([entry]), load_seeds([entry])
    assert asked == [("toys/set", "behaviors", "harmful")]
    assert first.seeds == second.seeds
    assert [(seed.goal, seed.hazard) for seed in first.seeds] == [("x", "privacy"), ("y", "privacy")]
    assert first.files[entry.path].read_text().count("\n") == 2
    with pytest.raises(PromptFileError, match=r"toys--set--behaviors--harmful\.jsonl:1: no column Aim for goal"):
        load_seeds([entry.model_copy(update={"columns": {"goal": "Aim"}})])


def test_a_hub_that_is_out_of_reach_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, config: str | None, split: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    monkeypatch.setenv("SUPERALIGN_HOME", str(tmp_path))
    with pytest.raises(PromptFileError, match="hub:toys/set: can't be fetched.*no route.*download a file"):
        load_seeds(["hub:toys/set"])
    with pytest.raises(PromptFileError, match="hub:toys: not a data set; write hub:OWNER/NAME"):
        load_seeds(["hub:toys"])
    assert not list(tmp_path.rglob("*.jsonl"))
