"""`report`: a run folder as one page for people; works beside a run that is going on."""

from __future__ import annotations

import json
from pathlib import Path

from superalign.cli.format import size
from superalign.errors import RunFolderError
from superalign.report.page import write_report
from superalign.store.run_folder import RunFolder


def report(path: Path, to: Path | None, as_json: bool) -> None:
    """Write the page, and say where it is."""
    with RunFolder.open(path, read_only=True) as folder:
        target = to or folder.report
        if target.is_dir() or not target.parent.is_dir():
            what = "is a folder" if target.is_dir() else "lies in no folder that exists"
            raise RunFolderError(f"--to {target} {what}", "name a file in a folder that exists")
        written = write_report(folder, target)
    if as_json:
        print(json.dumps({"path": str(target), "bytes": written}))
    else:
        print(f"{target}: {size(written)}; open it in a browser")
