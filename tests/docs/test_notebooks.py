"""Every notebook of the documents, run from its first cell to its last in a kernel of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
TIMEOUT_S = 900
"""For one cell; some play a round of the embedded model."""


def models(notebook: Path) -> bool:
    """Whether a notebook says that it loads a model: the tag `engine` in its metadata."""
    import nbformat

    return bool(nbformat.read(notebook, as_version=4).metadata.get("superalign", {}).get("engine", False))


@pytest.mark.parametrize(
    "notebook",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.engine] if models(path) else []) for path in NOTEBOOKS],
)
def test_a_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    folder = tmp_path / "notebooks"
    shutil.copytree(notebook.parent, folder)
    cells = nbformat.read(notebook, as_version=4)
    NotebookClient(cells, timeout=TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(notebook: Path) -> None:
    import nbformat

    cells = nbformat.read(notebook, as_version=4).cells
    assert [cell for cell in cells if cell.cell_type == "code" and cell.outputs] == [], "clear its outputs"
