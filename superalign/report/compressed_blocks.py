"""Entries as compressed blocks in the page: written one at a time, unpacked by the browser when they are looked at."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator

from superalign.report.browser_entries import Entry
from superalign.store.atomic import encode_json

MOST_BYTES = 1 << 19
"""Of the texts of a block, before compression; small enough to be unpacked between two key strokes."""
MOST_ENTRIES = 1000


def parts(name: str, entries: Iterable[Entry]) -> Iterator[bytes]:
    """Pairs of blocks: an index, [facets..., tone, snippet] a line, and the texts, `TEXTS<tab>LAYOUT` a line.

    A script element of no script type is never run, and base64 has no character that could end it. Whatever the number
    of entries, memory holds one block of them.
    """
    index: list[str] = []
    texts: list[str] = []
    size = 0
    for entry in entries:
        index.append(encode_json([*entry.facets, entry.tone, entry.snippet]))
        texts.append(f"{encode_json(entry.texts)}\t{encode_json([entry.title, entry.rows])}")
        size += len(texts[-1])
        if size >= MOST_BYTES or len(texts) == MOST_ENTRIES:
            yield from _blocks(name, index, texts)
            index, texts, size = [], [], 0
    if texts:
        yield from _blocks(name, index, texts)


def _blocks(name: str, index: list[str], texts: list[str]) -> Iterator[bytes]:
    for kind, lines in (("index", index), ("texts", texts)):
        packed = base64.b64encode(zlib.compress("\n".join(lines).encode(), 6))
        yield f'<script type="text/plain" data-of="{name}" data-part="{kind}">'.encode() + packed + b"</script>\n"
