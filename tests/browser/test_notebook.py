"""The first notebook in a real JupyterLab, as a reader opens it."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.jupyterlab import open_notebook, run_all
from tests.fake_api import FakeApi

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"


def test_the_first_notebook_runs_from_top_to_bottom_with_a_key(
    api: FakeApi, served: tuple[FakeApi, str, Path], lab: Page, screenshots: Path
) -> None:
    _, url, folder = served
    shutil.copy(NOTEBOOKS / "01_first_answer.ipynb", folder)
    open_notebook(lab, url, "01_first_answer.ipynb")
    outputs = run_all(lab)
    lab.screenshot(path=screenshots / "01_first_answer.png")

    assert [output for cell in outputs for output in cell if output["output_type"] == "error"] == []
