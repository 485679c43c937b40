"""Planted faults, each in a tiny file of its own: all of them are found together, each with its file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from superalign.attacker.seeds.from_cli_name import find
from superalign.errors import PromptFileError

Fault = tuple[str, str | bytes, int, str]
FAULTS: list[Fault] = [
    # name, content, line of the fault, what is said
    ("empty.txt", "\n\n", 1, "the file is empty"),
    ("only_comments.txt", "# nothing\n# here\n", 1, "no goals in it"),
    ("latin.txt", b"bake bread\nbake a cr\xeape\n", 2, "byte 0xea is not UTF-8"),
    ("no_intent.txt", "bake bread\n", 1, "intent is missing"),
    ("broken.yaml", "seeds:\n  - goal: [x\n", 3, "not YAML"),
    ("tab.yaml", "seeds:\n\t- goal: x\n", 2, "not YAML"),
    ("twice.yaml", "seeds:\n  - goal: x\n    intent: benign\n    goal: y\n", 4, "goal is given twice"),
    ("no_seeds.yaml", "goals:\n  - x\n", 1, "no list of seeds"),
    ("number.yaml", "seeds:\n  - 7\n", 2, "a row is a text or a mapping"),
    ("unknown_key.yaml", "seeds:\n  - goal: x\n    intent: benign\n    hazzard: hate\n", 4, "did you mean hazard"),
    ("intent.yaml", "seeds:\n  - goal: x\n    intent: evil\n", 3, "intent 'evil' is not known"),
    ("hazard.yaml", "seeds:\n  - goal: x\n    intent: harmful\n    hazard: hatred\n", 4, "hazard 'hatred'"),
    ("no_goal.yaml", "seeds:\n  - goal: ok\n    intent: benign\n  - intent: benign\n", 4, "goal is missing"),
    ("goal_list.yaml", "seeds:\n  - intent: benign\n    goal: [a]\n", 3, "goal is no text"),
    ("same_id.yaml", "seeds:\n  - {id: a, goal: x, intent: benign}\n  - {id: a, goal: y, intent: benign}\n", 3,
     "id of a"),
    ("same_goal.yaml", "seeds:\n  - {goal: x, intent: benign}\n  - {goal: X., intent: benign}\n", 3,
     "was already given"),
    ("bad_id.yaml", "seeds:\n  - goal: x\n    intent: benign\n    id: a/b\n", 4, "'a/b' holds a character"),
    ("orphan.yaml", "seeds:\n  - goal: x\n    intent: benign\n    parent: nobody\n", 4, "parent nobody"),
    ("twins.yaml", "seeds:\n  - goal: x\n    intent: benign\n    lookalikes: [y]\n", 4, "is benign and has lookalikes"),
    ("twin_number.yaml", "seeds:\n  - goal: x\n    intent: harmful\n    lookalikes: [1]\n", 4, "lookalikes is no list"),
    ("tags.yaml", "seeds:\n  - goal: x\n    intent: benign\n    tags: {a: b}\n", 4, "tags is no list of texts"),
    ("language.yaml", "seeds:\n  - goal: x\n    intent: benign\n    language: German!\n", 4, "no BCP 47 tag"),
    ("turns.yaml", "seeds:\n  - intent: benign\n    turns: [Hi, 3]\n", 3, "turns is no list of texts"),
    ("strategy.yaml", "seeds:\n  - goal: x\n    intent: benign\n    strategy: polit\n", 4, "did you mean polite"),
    ("chain.yaml", "seeds:\n  - goal: x\n    intent: benign\n    strategy: base64+how_to\n", 4, "how_to needs"),
    ("slot.yaml", 'seeds:\n  - goal: x\n    intent: benign\n    template: "{{ gaol }}"\n', 4, "unknown slot gaol"),
    ("slot_line.yaml", "seeds:\n  - goal: x\n    intent: benign\n    template: |\n      a\n      {{ gaol }}\n",
     6, "did you mean goal"),
    ("no_slot.yaml", "seeds:\n  - goal: x\n    intent: benign\n    template: hello\n", 4, "never uses {{ goal }}"),
    ("both.yaml", "seeds:\n  - goal: x\n    intent: benign\n    strategy: polite\n    template: '{{ goal }}'\n", 5,
     "has a template and names a strategy"),
    ("turns_and_template.yaml", "seeds:\n  - turns: [a, b]\n    intent: benign\n    template: '{{ goal }}'\n", 4,
     "turns and a template"),
    ("broken.jsonl", '{"goal": "x", "intent": "benign"}\n{"goal": \n', 2, "not JSON"),
    ("list.jsonl", '["x"]\n', 1, "not a JSON object"),
    ("columns.jsonl", '{"question": "x", "intent": "benign"}\n', 1, "no column goal, prompt"),
    ("broken.json", '[{"goal": "x"},\n {"goal": }]', 2, "not JSON"),
    ("no_rows.json", '{"a": 1}', 1, "no list of seeds"),
    ("numbers.json", "[\n 1]", 2, "a row is a text or a mapping"),
    ("cells.csv", "goal,intent\nbake bread,benign,now\n", 2, "3 cells under 2 columns"),
    ("header.csv", "goal,goal\nx,y\n", 1, "two columns are called 'goal'"),
    ("quote.csv", 'goal,intent\n"x,benign\n', 2, "not CSV"),
    ("rows.csv", "goal,intent\n", 1, "no goals in it"),
    ("unclosed.md", "---\nintent: benign\nbake bread\n", 1, "the front matter is not closed"),
    ("front.md", "---\n- benign\n---\nbake bread\n", 2, "the front matter is no mapping"),
    ("key.md", "---\nintent: benign\nhazzard: hate\n---\nbake bread\n", 3, "unknown key hazzard"),
    ("two_goals.md", "---\ngoal: x\nintent: benign\n---\nbake bread\n", 5, "no slot"),
    ("mode.md", "---\nmode: shout\n---\n{{ goal }}\n", 2, "mode"),
    ("call.md", "---\nmode: render\n---\n{{ goal }}\n{{ goal.upper() }}\n", 5, "a call is not allowed"),
    ("role.md", "=== robot\n{{ goal }}\n", 1, "unknown role robot"),
    ("assistant.md", "=== user\n{{ goal }}\n=== assistant\nSure.\n", 3, "the last turn is not the user's"),
    ("syntax.md", "x\n{% if goal %}{{ goal }}\n", 2, "tag"),
    ("syntax.py", "class A:\n    def attack(self, seed, history)\n", 2, "SyntaxError"),
    ("import.py", "import no_such_module_at_all\n", 1, "ModuleNotFoundError"),
    ("nobody.py", "class A:\n    pass\n", 1, "no class with a method attack"),
    ("two.py", "class A:\n    def attack(self, seed, history): ...\nclass B(object):\n    attack = A.attack\n", 3,
     "2 classes with attack"),
    ("signature.py", "class A:\n    x = 1\n    def attack(self, seed): ...\n", 3, "attack takes other arguments"),
    ("constructor.py", "class A:\n    def __init__(self, key): ...\n    attack = print\n", 1,
     "A can't be made"),
    ("style.py", "class A:\n    style = 'odd'\n    def attack(self, seed, history): ...\n", 1, "style 'odd'"),
]  # fmt: skip


def plant(folder: Path, fault: Fault) -> Path:
    name, content, _, _ = fault
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault[0])
def test_a_planted_fault_is_found_with_its_line(tmp_path: Path, fault: Fault) -> None:
    path = plant(tmp_path, fault)
    with pytest.raises(PromptFileError) as caught:
        find(str(path), (), tmp_path)
    wanted = [line for line in str(caught.value).splitlines() if line.startswith(f"{path}:{fault[2]}:")]
    assert any(fault[3] in line for line in wanted), str(caught.value)


def test_all_faults_of_a_folder_are_found_together(tmp_path: Path) -> None:
    files = [fault for fault in FAULTS if not fault[0].endswith(".py")]
    for fault in files:
        plant(tmp_path, fault)
    with pytest.raises(PromptFileError) as caught:
        find(str(tmp_path), (), tmp_path)
    lines = str(caught.value).splitlines()
    missed = [
        name for name, _, line, what in files
        if not any(text.startswith(f"{tmp_path / name}:{line}:") and what in text for text in lines)
    ]  # fmt: skip
    assert len(files) >= 30
    assert not missed, str(caught.value)


def test_settings_stand_for_what_a_recipe_says_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Behavior,Kind\nbake bread,a\nbake cake,b\n")
    settings = ("intent=benign", "columns.goal=Behavior", "where.Kind=b", "tags=x,y")
    [seed] = find("a.csv", settings, tmp_path).seeds
    assert (seed.goal, seed.intent, seed.tags) == ("bake cake", "benign", ("x", "y"))
    for setting, said in (
        ("intnt=benign", "did you mean intent"),
        ("intent=odd", "--set intent"),
        ("limit=0", "limit"),
    ):
        with pytest.raises(PromptFileError, match=said):
            find("a.csv", [setting], tmp_path)
    with pytest.raises(PromptFileError, match=r"--set columns=goal: not of the form columns\.NAME=VALUE"):
        find("a.csv", ["columns=goal"], tmp_path)


def test_names_lead_to_strategies_and_paths_to_files(tmp_path: Path) -> None:
    assert list(find("direct", (), tmp_path).strategies) == ["direct"]
    assert list(find("how_to+base64", (), tmp_path).strategies) == ["how_to+base64"]
    with pytest.raises(PromptFileError, match="did you mean direct"):
        find("drect", (), tmp_path)
    with pytest.raises(PromptFileError, match=r"nowhere\.txt: no such prompt file"):
        find("nowhere.txt", (), tmp_path)
