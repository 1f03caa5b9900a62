"""The magic in a real JupyterLab: an answer that grows, one that is interrupted, and one that attacks."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.answers import ATTACK, BEAUTIFUL
from tests.browser.jupyterlab import (
    cells_of,
    choose_theme,
    interrupt,
    run_cell,
    start_cell,
    until,
)
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.browser


def test_an_answer_grows_on_the_page(api: FakeApi, opened: Callable[..., Page]) -> None:
    may_end = threading.Event()
    api.play(Fault(content="**many** words " * 80 + "and the end.", rest_waits_for=may_end))
    page = opened("%%mistral\nHello")
    start_cell(page, 1)
    page.locator(".mistral-nb strong").first.wait_for()
    early = page.get_by_text("and the end.").count()
    may_end.set()
    page.get_by_text("and the end.").wait_for()

    assert early == 0
    expect(page.locator(".mistral-nb strong")).to_have_count(80)
    expect(page.locator(".mistral-nb")).to_have_count(1)


def test_an_interrupt_keeps_what_has_come_and_closes_the_request(api: FakeApi, opened: Callable[..., Page]) -> None:
    api.play(Fault(content="first words " * 400, rest_waits_for=threading.Event()))
    page = opened("%%mistral --out answer\nHello", "len(answer.text) > 10, answer.finish_reason")
    start_cell(page, 1)
    page.locator(".mistral-nb p", has_text="first words").first.wait_for()
    interrupt(page)
    page.get_by_text("Stopped before the end.").wait_for()
    kept = run_cell(page, 2)

    assert kept[0]["data"]["text/plain"] == "(True, 'interrupted')"
    expect(page.get_by_text("KeyboardInterrupt: stopped")).to_have_count(1)
    until(lambda: api.stats.in_flight == 0)


def test_an_answer_can_not_act_when_it_comes_nor_when_the_saved_notebook_is_opened_again(
    api: FakeApi, opened: Callable[..., Page], reopened: Callable[[], None]
) -> None:
    api.play(Fault(content=ATTACK))
    page = opened("%%mistral\nHello")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    run_cell(page, 1)
    answer = page.locator(".mistral-nb").first
    for open_again in (lambda: None, reopened):
        open_again()
        page.get_by_text("The end of the attack.").wait_for()
        for link in answer.locator("a").all():
            link.click()

        assert page.evaluate("window.attacked ?? null") is None
        expect(answer.locator("script, img, svg, iframe, form, style")).to_have_count(0)
    assert [url for url in requested if "evil" in url or url.endswith("/x")] == []


def test_formulas_tables_and_code_look_right_in_both_themes(
    api: FakeApi, opened: Callable[..., Page], screenshots: Path
) -> None:
    api.play(Fault(content=BEAUTIFUL))
    page = opened("%%mistral\nHello")
    run_cell(page, 1)
    page.locator(".mistral-nb mjx-container").nth(1).wait_for()
    keyword = page.locator(".mistral-nb .k").first
    page.screenshot(path=screenshots / "answer_light.png")
    light = keyword.evaluate("element => getComputedStyle(element).color")
    choose_theme(page, "JupyterLab Dark")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.wait_for_function(
        "([element, before]) => getComputedStyle(element).color !== before", arg=[keyword.element_handle(), light]
    )
    page.screenshot(path=screenshots / "answer_dark.png")
    choose_theme(page, "JupyterLab Light")
    page.locator("body[data-jp-theme-light=true]").wait_for(state="attached")

    expect(page.locator(".mistral-nb mjx-container")).to_have_count(2)
    expect(page.get_by_text("It costs from $5 to $10, or US$7.")).to_have_count(1)
    expect(page.locator(".mistral-nb table td")).to_have_count(4)


def test_the_code_of_an_answer_goes_into_a_cell_below_and_is_not_run(api: FakeApi, opened: Callable[..., Page]) -> None:
    api.play(Fault(content="```python\nx = 1\n```"))
    page = opened("%%mistral --as code\nMake x 1.", "# the next cell")
    run_cell(page, 1)
    page.wait_for_function("() => document.querySelectorAll('.jp-Notebook .jp-CodeCell').length === 4")

    assert cells_of(page)[2] == ("x = 1", None)
