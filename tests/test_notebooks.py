"""The notebooks run offline on the embedded model and with a key, and whatever does not depend on a model's words is as saved.

So do the solutions of their exercises, of which only this is checked.
"""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import nbformat
import pytest

from mistral_nb.shipped_notebooks import fingerprint
from tests.checked_notebook import IGNORED, ROOT, check_notebook, solutions
from tests.fake_api import FakeApi, Fault
from tests.fake_api.recorder import SeenRequest

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MARK = "yours may differ: "

# With a key the fake API answers, and its canned answers are no model's. So these cells, by their beginning, are run, and what
# they print is not compared: how well a model does (01, 08), and what a receipt says of requests to the fake's own address, which
# is part of what decides the rows that are asked twice (04, 06).
NOT_ON_CANNED_ANSWERS = {
    "01_first_answer": ['print("better than the most frequent topic:"'],
    "04_classify_and_summarize": ['for rows in (1, "auto"):'],
    "06_cost_tracking": ["import mistral_nb", 'print("expected:"', "small, large = (", 'print("live:"'],
    "08_is_it_right": ['print("better than the most frequent label:"'],
}
# What it can't say by itself, by a word of the schema that the answer has to fit.
SAID = {
    '"Proposal"': {
        "name": "Invoice",
        "fields": [{"name": "supplier", "kind": "text", "choices": [], "description": "Who sends it"}],
    },
    '"action_items"': {"action_items": [{"owner": "Bilal", "task": "Ask the factory for a stronger hinge"}]},
}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_what_it_shows(notebook: Path, embedded: Path) -> None:
    ended = check_notebook(notebook, MISTRAL_NB_HOME=str(embedded), MISTRAL_NB_MODEL="local-tiny")

    assert ended.returncode == 0, ended.stdout[-6000:]


@pytest.fixture
def with_a_key(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Serve the fake in the place of Mistral's own address, to each process that is given these variables."""
    with FakeApi() as api:
        for word, answer in SAID.items():
            api.play(Fault(content=json.dumps(answer), when=partial(_has_schema_with, word), times=None))
        startup = f"from mistral_nb import settings\nsettings.REGIONS['global'] = {api.url!r}\n"
        (tmp_path / "sitecustomize.py").write_text(startup)
        yield {
            "MISTRAL_API_KEY": api.api_key,
            "MISTRAL_NB_HOME": str(tmp_path / "home"),
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }


def _has_schema_with(word: str, request: SeenRequest) -> bool:
    return word in json.dumps((request.body or {}).get("response_format"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_unchanged_with_a_key(notebook: Path, with_a_key: dict[str, str]) -> None:
    left_out = NOT_ON_CANNED_ANSWERS.get(notebook.stem, ())
    ended = check_notebook(notebook, is_embedded=False, ignored=left_out, **with_a_key)

    assert ended.returncode == 0, ended.stdout[-6000:]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_exercises_with_a_solution_that_is_run(notebook: Path) -> None:
    assert solutions(nbformat.read(notebook, as_version=4))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_reader_is_told_of_each_output_that_is_not_compared(notebook: Path) -> None:
    """In the first line of the cell; of a ``%%mistral`` cell, all of which is asked, in the last line of the text above."""
    cells = nbformat.read(notebook, as_version=4).cells
    is_told, is_ignored = [], []
    for above, cell in zip([None, *cells], cells, strict=False):
        if cell.cell_type == "code":
            is_question = cell.source.startswith("%%")
            line = above.source.splitlines()[-1].lower() if is_question and above else cell.source.splitlines()[0]
            is_told += [cell.id] * line.startswith(f"*{MARK}" if is_question else f"# {MARK}")
            is_ignored += [cell.id] * (IGNORED in cell.metadata.get("tags", ()))

    assert is_told == is_ignored


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
