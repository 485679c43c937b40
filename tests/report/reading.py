"""A report read back as a browser reads it."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r'<script type="text/plain" data-of="(\w+)" data-part="(\w+)">([A-Za-z0-9+/=]*)</script>')


def entries(page: Path, name: str) -> list[tuple[list[str], list[str], Any]]:
    """(index row, texts, [title, rows]) of every entry of a browser; the title stands at the end of its index row."""
    found: dict[str, list[str]] = {"index": [], "texts": []}
    for of, part, packed in _BLOCK.findall(page.read_text("utf-8")):
        if of == name:
            found[part] += zlib.decompress(base64.b64decode(packed)).decode().split("\n")
    pairs = zip(found["index"], found["texts"], strict=True)
    split = ((json.loads(index), *line.split("\t")) for index, line in pairs)
    return [(index, json.loads(texts), [index[-1], json.loads(rows)]) for index, texts, rows in split]


class Page(HTMLParser):
    """What a browser would load, run and show."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        """Texts of those that run."""
        self.styles: list[str] = []
        self.words = ""
        self._inside = ""
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.words += " "
        runs = tag == "script" and dict(attrs).get("type") is None
        self._inside = "data" if tag == "script" and not runs else tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside == "style":
            self.styles.append(data)
        elif self._inside != "data":
            self.words += data

    @property
    def plain(self) -> str:
        return " ".join(self.words.split())
