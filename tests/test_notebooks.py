"""The notebooks run offline on the embedded model, and whatever does not depend on a model's words is as saved."""

from pathlib import Path

import nbformat
import pytest

from mistral_nb.shipped_notebooks import fingerprint
from tests.checked_notebook import ROOT, check_notebook

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_shows(notebook: Path, embedded: Path) -> None:
    ended = check_notebook(notebook, MISTRAL_NB_HOME=str(embedded), MISTRAL_NB_MODEL="local-tiny")

    assert ended.returncode == 0, ended.stdout[-6000:]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_saved_after_running_from_top_to_bottom(notebook: Path) -> None:
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]

    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_error_and_no_path_of_the_machine_it_was_saved_on(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")

    assert [word for word in ('"output_type": "error"', "/home/", "/root/", "/tmp/", "Traceback") if word in text] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_is_longer_than_a_reader_takes_in(notebook: Path) -> None:
    cells = nbformat.read(notebook, as_version=4).cells

    assert [cell.id for cell in cells if cell.cell_type == "code" and len(cell.source.splitlines()) > 20] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_nothing_was_changed_after_a_notebook_was_run_and_saved(notebook: Path) -> None:
    saved = nbformat.read(notebook, as_version=4)

    assert saved.metadata["mistral_nb"]["fingerprint"] == fingerprint(saved), (
        f"Run and save it anew: python -m tests.save_notebooks {notebook.name}"
    )
