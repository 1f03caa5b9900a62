"""One Chromium and one page of one JupyterLab, whose kernels ask the fake API, for all of these tests.

They live as long as this folder's tests and no longer: while Playwright runs, no other test of the thread could start a loop.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.browser.jupyterlab import CHROMIUM, jupyterlab, load_notebook, open_notebook, run_cell, save, write_notebook
from tests.browser.panel_module import PanelPage
from tests.fake_api import FakeApi

SCREENSHOTS = Path(__file__).parent / "screenshots"
PATIENCE_MILLISECONDS = 60_000
expect.set_options(timeout=PATIENCE_MILLISECONDS)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists() and not os.environ.get("CI"):
        pytest.skip(f"there is no {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield browser
        browser.close()


def new_page(chromium: Browser) -> Iterator[Page]:
    page = chromium.new_page(viewport={"width": 1280, "height": 1400})
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    yield page
    page.context.close()


@pytest.fixture(scope="package")
def lab(chromium: Browser) -> Iterator[Page]:
    """Return the page that shows JupyterLab."""
    yield from new_page(chromium)


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """Open one page for all tests of a module: opening it takes longer than most of them."""
    yield from new_page(chromium)


@pytest.fixture
def panel(page: Page) -> PanelPage:
    """Load the page anew, with a panel without turns and without a kernel."""
    panel = PanelPage(page)
    panel.opens()
    return panel


@pytest.fixture(scope="module")
def attacked(page: Page) -> PanelPage:
    """Load the page once for all payloads: each begins with a snapshot of its own."""
    return PanelPage(page)


@pytest.fixture
def field(page: Page) -> Locator:
    return page.get_by_label("Question", exact=True)


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Return the folder of the pictures that are to be looked at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return SCREENSHOTS


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FakeApi, str, Path]]:
    """Serve one JupyterLab for these tests, whose kernels ask the fake API."""
    root = tmp_path_factory.mktemp("lab")
    with FakeApi() as api:
        environment = {
            "MISTRAL_NB_ENDPOINT": api.url,
            "MISTRAL_API_KEY": api.api_key,
            "MISTRAL_NB_HOME": str(root / "home"),
        }
        (root / "notebooks").mkdir()
        with jupyterlab(root / "notebooks", root / "jupyter", environment) as url:
            yield api, url, root / "notebooks"


@pytest.fixture
def api(served: tuple[FakeApi, str, Path]) -> FakeApi:
    served[0].reset()
    return served[0]


@pytest.fixture
def opened(served: tuple[FakeApi, str, Path], lab: Page, request: pytest.FixtureRequest) -> Callable[..., Page]:
    """Open a notebook with these cells, below one that loads the extension and has been run."""

    def open_cells(*cells: str) -> Page:
        _, url, folder = served
        name = f"{request.node.name}.ipynb"
        write_notebook(folder / name, "%load_ext mistral_nb", *cells)
        open_notebook(lab, url, name)
        run_cell(lab, 0)
        return lab

    return open_cells


@pytest.fixture
def reopened(served: tuple[FakeApi, str, Path], lab: Page, request: pytest.FixtureRequest) -> Callable[[], None]:
    """Save the test's notebook and load JupyterLab with it anew."""

    def load_again() -> None:
        save(lab)
        load_notebook(lab, served[1], f"{request.node.name}.ipynb")

    return load_again
