"""What the panel shows while an answer comes: in every view the same, at once, and no more than was said."""

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.panel_module import PanelPage, turn

pytestmark = pytest.mark.browser


def test_pieces_are_put_together(panel: PanelPage, page: Page) -> None:
    panel.says("turn", turn=turn(state="running", parts=[]))
    panel.says("piece", turn=1, part=0, type="text", at=0, text="**many")
    panel.says("piece", turn=1, part=0, type="text", at=6, text=" words**")

    expect(page.locator(".answer strong")).to_have_text("many words")


def test_a_piece_that_comes_twice_or_late_is_dropped(panel: PanelPage, page: Page) -> None:
    panel.says("turn", turn=turn(state="running", parts=[]))
    piece = {"kind": "piece", "number": 3, "turn": 1, "part": 0, "type": "text", "at": 0, "text": "once"}
    for number in (3, 3, 2):
        panel.delivers(piece | {"number": number})

    expect(page.locator(".answer")).to_have_text("once")
    assert len(panel.sent("hello")) == 1


def test_after_a_gap_everything_is_asked_for_anew(panel: PanelPage, page: Page) -> None:
    panel.says("turn", turn=turn(state="running", parts=[]))
    panel.delivers({"kind": "piece", "number": 9, "turn": 1, "part": 0, "type": "text", "at": 90, "text": "late"})
    panel.delivers(
        {"kind": "snapshot", "number": 10, "turns": [turn()], "facts": {"models": [], "frames": [], "tools": []}}
    )

    assert len(panel.sent("hello")) == 2
    expect(page.locator(".answer")).to_have_text("Two.")


def test_a_stop_freezes_the_answer_at_once(panel: PanelPage, page: Page, field: Locator) -> None:
    panel.says("turn", turn=turn(state="running", parts=[]))
    panel.says("piece", turn=1, part=0, type="text", at=0, text="first")
    field.press("Escape")
    panel.says("piece", turn=1, part=0, type="text", at=5, text=" and late")

    expect(page.get_by_text("Stopped before the end.")).to_be_visible()
    expect(page.locator(".answer")).to_have_text("first")


def test_a_view_that_opens_later_shows_the_same(panel: PanelPage, page: Page) -> None:
    panel.says("turn", turn=turn(state="running", parts=[]))
    panel.says("piece", turn=1, part=0, type="text", at=0, text="first")
    page.evaluate("() => { window.show('two'); }")
    panel.says("piece", turn=1, part=0, type="text", at=5, text=" and second")

    expect(page.locator("#one .answer")).to_have_text("first and second")
    expect(page.locator("#two .answer")).to_have_text("first and second")


def test_it_follows_the_end_only_where_the_reader_was_there(panel: PanelPage, page: Page) -> None:
    panel.says("turn", turn=turn(state="running", parts=[{"kind": "text", "text": "line\n\n" * 100}]))
    log = page.get_by_role("log")
    followed = log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight")
    log.evaluate("log => { log.scrollTop = 0; }")
    panel.says("piece", turn=1, part=0, type="text", at=600, text="line\n\n" * 50)

    assert followed < 2
    assert log.evaluate("log => log.scrollTop") == 0


def test_nothing_is_left_when_views_close(panel: PanelPage, page: Page) -> None:
    page.evaluate("() => { window.show('two'); }")
    page.evaluate("async () => { (await window.closeFirst)(); (await window.initialized)(); }")
    panel.says("turn", turn=turn())

    expect(page.locator("#one *")).to_have_count(0)
    assert page.evaluate("window.kernel.listeners()") == 0
