"""The map of rooms, drawn from the package and held against README and the documents, so that it can't go stale."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT
from tools.docs_pages import layers, readme_with_map, room_map, room_sentences, rooms_page

AT_THE_ROOT = {"__init__", "__main__", "errors", "learner", "protocols", "seeding", "tracking"}


def test_readme_shows_the_map_as_it_is() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert room_map() in text, "`python tools/docs_pages.py --readme` draws it anew"
    assert readme_with_map(text) == text


def test_the_documents_show_every_room_with_its_sentence() -> None:
    page = rooms_page()
    for room, sentence in room_sentences().items():
        assert re.search(rf"\| `{room}(/|\.py)` \|", page), room
        assert sentence, f"superalign/{room} has no docstring"
    assert "reference/rooms.md" in (ROOT / "mkdocs.yml").read_text()


def test_every_room_is_in_a_layer_and_every_layer_has_rooms() -> None:
    placed = [room for layer in layers() for room in layer]
    assert sorted(placed) == sorted(room_sentences())
    assert len(placed) == len(set(placed))


def test_there_are_few_layers() -> None:
    assert len(layers()) <= 15


def test_the_root_holds_no_other_modules() -> None:
    assert {path.stem for path in (ROOT / "superalign").glob("*.py")} <= AT_THE_ROOT


def test_tests_have_the_folders_of_the_rooms() -> None:
    rooms = {path.parent.name for path in (ROOT / "superalign").glob("*/__init__.py")}
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.rglob("test_*.py"))}
    assert folders - rooms <= {"docs", "benchmarks"}, "a folder of tests is called after its room"
