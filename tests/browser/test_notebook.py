"""The first notebook in a real JupyterLab, as a reader opens it."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.browser.jupyterlab import jupyterlab, open_notebook, run_all
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
INJECTION = "<img src=x onerror='window.attacked = true'><script>window.attacked = true</script>"


def test_the_first_notebook_runs_from_top_to_bottom_with_a_key(page: Page, tmp_path: Path, screenshots: Path) -> None:
    page.set_default_timeout(180_000)
    shutil.copy(NOTEBOOKS / "01_first_answer.ipynb", tmp_path)
    with FakeApi() as api:
        environment = {
            "MISTRAL_NB_ENDPOINT": api.url,
            "MISTRAL_API_KEY": api.api_key,
            "MISTRAL_NB_HOME": str(tmp_path / "home"),
        }
        with jupyterlab(tmp_path, tmp_path / "jupyter", environment) as url:
            open_notebook(page, url, "01_first_answer.ipynb")
            outputs = run_all(page)
            page.screenshot(path=screenshots / "01_first_answer.png")

    assert [output for cell in outputs for output in cell if output["output_type"] == "error"] == []


def test_an_answer_can_not_run_script_in_jupyterlab(page: Page, tmp_path: Path) -> None:
    import nbformat

    cells = ["%load_ext mistral_nb", "%%mistral\nHello"]
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, tmp_path / "injection.ipynb")
    with FakeApi() as api:
        api.play(Fault(content=INJECTION, times=None))
        environment = {"MISTRAL_NB_ENDPOINT": api.url, "MISTRAL_API_KEY": api.api_key}
        with jupyterlab(tmp_path, tmp_path / "jupyter", environment) as url:
            open_notebook(page, url, "injection.ipynb")
            run_all(page)
            page.get_by_text("<script>").wait_for()

            assert page.evaluate("window.attacked") is None
