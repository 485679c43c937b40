"""The documents as a whole: short where that was promised, complete where drawn from the code, and self-contained."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT, blocks, name
from tools.docs_pages import PAGES as DRAWN
from tools.docs_pages import api_page, command_line_page, commands, field_texts, recipe_page

README = ROOT / "README.md"


def test_readme_is_short() -> None:
    assert len(README.read_bytes()) < 10_000


@pytest.mark.parametrize("page", [README, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = {target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target}
    assert [target for target in targets if target and not (ROOT / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_yaml_and_python_in_a_page_can_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            assert yaml.safe_load(block.text) is not None, block.place
        elif block.language == "python":
            ast.parse(block.text, block.place)


def test_every_page_is_in_the_navigation() -> None:
    def pages(entry: Any) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [page for inner in (entry.values() if isinstance(entry, dict) else entry) for page in pages(inner)]

    listed = set(pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    written = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.is_relative_to(ROOT / "docs")}
    assert listed == written | set(DRAWN)


def test_nothing_is_loaded_from_elsewhere() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert settings["theme"]["font"] is False
    assert "extra_javascript" not in settings
    for picture in (ROOT / "docs" / "assets").glob("*.svg"):
        assert not re.search(r"(?:href|src|url)\s*[=(]\s*[\"']?https?:", picture.read_text("utf-8")), picture.name


def test_the_reference_of_the_recipe_has_every_key_with_its_text() -> None:
    from superalign.config.recipe import Recipe

    page = recipe_page()
    for key, text in field_texts(Recipe).items():
        assert f"| `{key}` |" in page
        assert text.replace("|", "\\|")[:60] in page
    for kind in ("thompson", "sft_then_dpo", "max_lookalike_rise", "kv_cache_gb", "min_p"):
        assert kind in page


def test_the_reference_of_the_command_line_has_every_command_and_option() -> None:
    page = command_line_page()
    for words, command in commands():
        assert f"## {words.removeprefix('superalign ')}\n" in page
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help" and not parameter.hidden:
                assert parameter.opts[0] in page


def test_the_api_page_names_what_the_package_offers() -> None:
    import superalign

    page = api_page()
    for public in superalign.__all__:
        if not public.startswith("__"):
            assert re.search(rf"(heading: |`)superalign\.{public}\b", page), public
