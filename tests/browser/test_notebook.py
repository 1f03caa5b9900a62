"""The first notebook in a real JupyterLab, as a reader opens it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browser.jupyterlab import CHROMIUM, jupyterlab, open_notebook, run_all
from tests.fake_api import FakeApi, Fault

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists() and not os.environ.get("CI"), reason=f"there is no {CHROMIUM}"),
]

NOTEBOOKS = Path(__file__).parent.parent.parent / "notebooks"
SCREENSHOTS = Path(__file__).parent / "screenshots"
INJECTION = "<img src=x onerror='window.attacked = true'><script>window.attacked = true</script>"


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1600})
        page.set_default_timeout(180_000)
        yield page
        browser.close()


def test_the_first_notebook_runs_from_top_to_bottom(page: Page, embedded: Path, tmp_path: Path) -> None:
    shutil.copy(NOTEBOOKS / "01_first_answer.ipynb", tmp_path)
    environment = {"MISTRAL_NB_HOME": str(embedded), "MISTRAL_NB_MODEL": "local-tiny"}
    with jupyterlab(tmp_path, tmp_path / "jupyter", environment) as url:
        open_notebook(page, url, "01_first_answer.ipynb")
        outputs = run_all(page)
        SCREENSHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SCREENSHOTS / "01_first_answer.png")

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
