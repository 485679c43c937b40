"""Data sets of the hub, kept as JSONL once fetched: faults have a line, and a resumed run reads the same rows."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from superalign.errors import PromptFileError
from superalign.files.find import cache_home

HUB = "hub:"
_NAME = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:/(?P<config>[\w.-]+))?(?::(?P<split>[\w.\[\]%:-]+))?")


def hub_file(path: str, **reading: object) -> Path:
    """The rows of `hub:OWNER/NAME[/CONFIG][:SPLIT]`, by default of the split `train`, as a local file.

    reading: further arguments of the loader, such as a delimiter. Raises PromptFileError for another form, and for a
    data set that can't be fetched.
    """
    named = _NAME.fullmatch(path.removeprefix(HUB))
    if named is None:
        raise PromptFileError(f"{path}: not a data set", f"write {HUB}OWNER/NAME, {HUB}OWNER/NAME/CONFIG:SPLIT")
    split = named["split"] or "train"
    name = re.sub(r"[^\w.-]+", "--", f"{named['id']}/{named['config'] or 'default'}/{split}")
    kept = cache_home() / "hub" / f"{name}.jsonl"
    if kept.is_file():
        return kept
    import datasets  # it takes seconds, and only hub data sets need it

    try:
        rows = datasets.load_dataset(named["id"], named["config"], split=split, **reading)
        lines = [json.dumps(row, ensure_ascii=False, default=str) for row in rows]
    except Exception as error:  # whatever the hub, the cache or the loader raises
        hint = "check name, config and split, and the network; or download a file of it and name that"
        raise PromptFileError(f"{path}: can't be fetched ({type(error).__name__}: {error})", hint) from error
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_suffix(f".{os.getpid()}.part")
    part.write_text("\n".join(lines) + "\n", "utf-8")
    part.replace(kept)
    return kept
