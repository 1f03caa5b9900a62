"""The magic in a real JupyterLab: an answer that grows, one that is interrupted, and one that attacks."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.browser.jupyterlab import (
    CHROMIUM,
    cells_of,
    choose_theme,
    interrupt,
    jupyterlab,
    open_notebook,
    outputs_of,
    run_cell,
    start_cell,
)
from tests.fake_api import FakeApi, Fault

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists() and not os.environ.get("CI"), reason=f"there is no {CHROMIUM}"),
]

SCREENSHOTS = Path(__file__).parent / "screenshots"

ATTACK = """<script>window.attacked = "script"</script>
<img src=x onerror="window.attacked = 'image'">
![x](x" onerror="window.attacked='markdown image')
<svg onload="window.attacked = 'svg'"></svg>
<iframe srcdoc="<script>parent.attacked = 'frame'</script>"></iframe>
<form action="https://evil.example"><input name=x><button>Send</button></form>
<style>body {display: none}</style>
[click](javascript:window.attacked='link') [data](data:text/html,<script>alert(1)</script>)

$\\href{javascript:window.attacked='formula'}{x}$ and \\(\\style{position:fixed}{x}\\)

```html
<script>window.attacked = "code"</script>
```

The end of the attack.
"""

BEAUTIFUL = """## Churn by town

The rate is $r = \\frac{lost}{all}$, so that

$$
\\bar r = \\frac{1}{n} \\sum_{i=1}^{n} r_i
$$

It costs from $5 to $10, or US$7.

| town | churn |
|------|------:|
| Lyon | 4.1 % |
| Nice | 2.7 % |

```python
def churn(lost: int, everyone: int) -> float:  # a comment
    return round(100 * lost / everyone, 1)

print(f"{churn(41, 1000)} %", None, "text")
```

The end of the answer.
"""


@pytest.fixture(scope="module")
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
    return served[0]


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 1400})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture
def opened(served: tuple[FakeApi, str, Path], page: Page, request: pytest.FixtureRequest) -> Callable[..., Page]:
    """Open a notebook with these cells, below one that loads the extension and has been run."""

    def open_cells(*cells: str) -> Page:
        _, url, folder = served
        name = f"{request.node.name}.ipynb"
        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(cell) for cell in ("%load_ext mistral_nb", *cells)],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        nbformat.write(notebook, folder / name)
        open_notebook(page, url, name)
        run_cell(page, 0)
        return page

    return open_cells


def test_an_answer_grows_on_the_page(api: FakeApi, opened: Callable[..., Page]) -> None:
    api.play(Fault(content="**many** words " * 80 + "and the end.", bytes_per_second=15_000))
    page = opened("%%mistral\nHello")
    start_cell(page, 1)
    page.locator(".mistral-nb strong").first.wait_for()
    early = page.locator(".mistral-nb strong").count()
    page.get_by_text("and the end.").wait_for()

    assert 1 <= early < 80
    assert page.locator(".mistral-nb strong").count() == 80
    assert page.locator(".mistral-nb").count() == 1


def test_an_interrupt_keeps_what_has_come_and_closes_the_request(api: FakeApi, opened: Callable[..., Page]) -> None:
    api.play(Fault(content="first words " * 400, bytes_per_second=3_000))
    page = opened("%%mistral --out answer\nHello", "len(answer.text) > 10, answer.finish_reason")
    start_cell(page, 1)
    page.locator(".mistral-nb p", has_text="first words").first.wait_for()
    interrupt(page)
    page.get_by_text("Stopped before the end.").wait_for()
    kept = run_cell(page, 2)

    assert kept[0]["data"]["text/plain"] == "(True, 'interrupted')"
    assert api.stats.in_flight == 0
    assert page.get_by_text("KeyboardInterrupt: stopped").count() == 1


def test_an_answer_can_not_act(api: FakeApi, opened: Callable[..., Page]) -> None:
    api.play(Fault(content=ATTACK))
    page = opened("%%mistral\nHello")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    run_cell(page, 1)
    page.get_by_text("The end of the attack.").wait_for()
    answer = page.locator(".mistral-nb").first
    for link in answer.locator("a").all():
        link.click()

    assert page.evaluate("window.attacked") is None
    assert [answer.locator(tag).count() for tag in ("script", "img", "svg", "iframe", "form", "style")] == [0] * 6
    assert [url for url in requested if "evil" in url or url.endswith("/x")] == []


def test_an_attack_can_not_act_when_the_saved_notebook_is_opened_again(
    api: FakeApi, opened: Callable[..., Page], served: tuple[FakeApi, str, Path], request: pytest.FixtureRequest
) -> None:
    api.play(Fault(content=ATTACK))
    page = opened("%%mistral\nHello")
    run_cell(page, 1)
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    open_notebook(page, served[1], f"{request.node.name}.ipynb")
    page.get_by_text("The end of the attack.").wait_for()

    assert page.evaluate("window.attacked") is None


def test_formulas_tables_and_code_look_right_in_both_themes(api: FakeApi, opened: Callable[..., Page]) -> None:
    api.play(Fault(content=BEAUTIFUL))
    page = opened("%%mistral\nHello")
    run_cell(page, 1)
    page.locator(".mistral-nb mjx-container").nth(1).wait_for()
    keyword = page.locator(".mistral-nb .k").first
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "answer_light.png")
    light = keyword.evaluate("element => getComputedStyle(element).color")
    choose_theme(page, "JupyterLab Dark")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.wait_for_function(
        "([element, before]) => getComputedStyle(element).color !== before", arg=[keyword.element_handle(), light]
    )
    page.screenshot(path=SCREENSHOTS / "answer_dark.png")
    choose_theme(page, "JupyterLab Light")
    page.locator("body[data-jp-theme-light=true]").wait_for(state="attached")

    assert page.locator(".mistral-nb mjx-container").count() == 2
    assert page.get_by_text("It costs from $5 to $10, or US$7.").count() == 1
    assert page.locator(".mistral-nb table td").count() == 4


def test_the_code_of_an_answer_goes_into_a_cell_below_and_is_not_run(api: FakeApi, opened: Callable[..., Page]) -> None:
    api.play(Fault(content="```python\nx = 1\n```"))
    page = opened("%%mistral --as code\nMake x 1.", "# the next cell")
    run_cell(page, 1)
    page.wait_for_function("() => document.querySelectorAll('.jp-Notebook .jp-CodeCell').length === 4")

    assert cells_of(page)[2] == ("x = 1", None)


def test_the_facts_are_in_the_saved_output(api: FakeApi, opened: Callable[..., Page]) -> None:
    page = opened("%%mistral\nHello")
    run_cell(page, 1)

    assert outputs_of(page, 1)[0]["metadata"]["mistral_nb"]["finish_reason"] == "stop"
