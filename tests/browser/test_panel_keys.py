"""The panel without a mouse: its keys, the focus, and what axe-core finds."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.answers import BEAUTIFUL
from tests.browser.panel_module import PanelPage, turn

pytestmark = pytest.mark.browser

# The colours of JupyterLab's dark theme that the panel takes.
DARK = """:root {
  --jp-ui-font-color1: rgb(255 255 255 / 87%); --jp-layout-color1: #111; --jp-layout-color2: #212121; --jp-border-color1: #616161;
  --jp-brand-color1: #2196f3; --jp-cell-editor-background: #212121; --jp-error-color1: #d32f2f; --jp-warn-color1: #f57c00;
} body { background: #111; color: #fff; }"""


def test_enter_sends_and_empties_the_field(panel: PanelPage, field: Locator) -> None:
    field.fill("Hello")
    field.press("Enter")

    assert [message["text"] for message in panel.sent("ask")] == ["Hello"]
    expect(field).to_have_value("")


def test_shift_enter_breaks_the_line(panel: PanelPage, field: Locator) -> None:
    field.fill("One")
    field.press("Shift+Enter")
    field.press_sequentially("Two")

    expect(field).to_have_value("One\nTwo")
    assert panel.sent("ask") == []


def test_escape_stops_what_is_being_answered(panel: PanelPage, field: Locator) -> None:
    panel.says("turn", turn=turn(state="running"))
    field.press("Escape")

    assert [message["turn"] for message in panel.sent("stop")] == [1]


def test_the_focus_stays_in_the_field(panel: PanelPage, field: Locator) -> None:
    field.fill("Hello")
    field.press("Enter")
    panel.says("turn", turn=turn(state="running"))
    field.press("Escape")
    panel.says("turn", turn=turn(state="stopped"))

    assert field.evaluate("field => document.activeElement === field")


def test_no_key_reaches_the_page_around_it(panel: PanelPage, field: Locator, page: Page) -> None:
    page.evaluate("addEventListener('keydown', (event) => (window.heard = event.key))")
    for key in ("a", "Enter", "Shift+Enter", "Escape", "Control+Enter", "ArrowDown"):
        field.press(key)

    assert page.evaluate("window.heard ?? null") is None


def test_everything_can_be_reached_by_keyboard(panel: PanelPage, page: Page) -> None:
    panel.opens(turn(parts=[{"kind": "text", "text": BEAUTIFUL}]))
    page.get_by_label("Model").focus()
    names = [name for name in (_next_focused(page) for _ in range(25)) if name]

    wanted = {
        "Export",
        "Clear",
        "Edit",
        "Pin",
        "Copy code",
        "Insert below",
        "Copy answer",
        "Retry",
        "Question",
        "Send",
    }
    assert wanted <= set(names)


def test_a_word_that_an_input_method_composes_is_not_sent(panel: PanelPage, field: Locator) -> None:
    field.fill("にほん")
    field.evaluate(
        "field => field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
    )

    assert panel.sent("ask") == []


@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(
    panel: PanelPage, page: Page, node_modules: Path, screenshots: Path, *, is_dark: bool
) -> None:
    page.evaluate("isDark => { document.body.dataset.jpThemeLight = String(!isDark); }", is_dark)
    page.add_style_tag(content=DARK if is_dark else "body { background: #fff; }")
    call = {"kind": "call", "id": "a", "name": "lookup_owner", "arguments": "{}", "result": "Ada", "seconds": 0.2}
    parts = [{"kind": "thinking", "text": "Hm."}, call | {"state": "done"}, {"kind": "text", "text": BEAUTIFUL}]
    error = {"kind": "RateLimited", "problem": "The limit is reached.", "remedy": "Wait a minute."}
    panel.opens(
        turn(1, parts=parts, isPinned=True, images=[{"name": "plot.png", "type": "image/png", "bytes": 9_000}]),
        turn(2, state="failed", parts=[], error=error, leftOut=2),
        turn(3, state="running", parts=[call | {"id": "b", "state": "asking", "result": ""}]),
        turn(4, state="queued", parts=[], footer=""),
    )
    page.get_by_text("Shared:").click()
    page.screenshot(path=screenshots / f"panel_module_{'dark' if is_dark else 'light'}.png", full_page=True)
    page.add_script_tag(path=node_modules / "axe-core" / "axe.min.js")
    found = page.evaluate("axe.run().then(({violations}) => violations.map(({id, nodes}) => [id, nodes[0].html]))")

    assert found == []


def _next_focused(page: Page) -> str:
    page.keyboard.press("Tab")
    name: str = page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent")
    return name
