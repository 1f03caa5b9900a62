"""What the panel shows of a question and its answer, and what can be done with them."""

from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.answers import BEAUTIFUL
from tests.browser.panel_module import PNG, PanelPage, turn

pytestmark = pytest.mark.browser


def test_tables_code_and_formulas_are_shown(panel: PanelPage, page: Page) -> None:
    panel.opens(turn(parts=[{"kind": "text", "text": BEAUTIFUL}]))

    expect(page.locator(".answer td")).to_have_count(4)
    expect(page.locator(".answer pre .hljs-keyword")).to_have_count(2)
    expect(page.locator(".maths").first).to_have_text("$r = \\frac{lost}{all}$")
    expect(page.get_by_text("It costs from $5 to $10, or US$7.")).to_be_visible()


def test_code_can_be_copied(panel: PanelPage, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.opens(turn(parts=[{"kind": "text", "text": "```python\nx = 1\n```"}]))
    page.get_by_role("button", name="Copy code").click()
    page.get_by_text("Copied.").wait_for()

    assert page.evaluate("navigator.clipboard.readText()") == "x = 1"


def test_code_is_copied_where_there_is_no_notebook_to_put_it_into(panel: PanelPage, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.opens(turn(parts=[{"kind": "text", "text": "```python\nx = 1\n```"}]))
    page.get_by_role("button", name="Insert below").click()
    page.get_by_text("there is no notebook").wait_for()

    assert page.evaluate("navigator.clipboard.readText()") == "x = 1"


def test_an_error_has_its_remedy_and_a_retry(panel: PanelPage, page: Page) -> None:
    error = {"kind": "RateLimited", "problem": "The limit is reached.", "remedy": "Wait a minute."}
    panel.opens(turn(state="failed", parts=[], error=error, footer=""))
    page.get_by_role("button", name="Retry", exact=True).click()

    shown = page.get_by_role("alert").all_inner_texts()[0].split("\n\n")
    assert shown == ["RateLimited: The limit is reached.", "Wait a minute."]
    assert [(message["turn"], message["model"]) for message in panel.sent("retry")] == [(1, None)]


def test_a_retry_can_name_another_model(panel: PanelPage, page: Page) -> None:
    panel.opens(turn())
    page.get_by_text("Retry with …").click()
    page.get_by_role("button", name="mistral-large-latest").click()

    assert panel.sent("retry")[0]["model"] == "mistral-large-latest"


def test_a_question_is_edited_in_its_place(panel: PanelPage, page: Page) -> None:
    panel.opens(turn())
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Edited question").fill("How many rows?")
    page.get_by_label("Edited question").press("Enter")

    assert [(message["turn"], message["text"]) for message in panel.sent("edit")] == [(1, "How many rows?")]


def test_what_was_left_out_is_said(panel: PanelPage, page: Page) -> None:
    panel.opens(turn(leftOut=3))

    expect(page.get_by_text("3 older turns were left out")).to_be_visible()


def test_consent_is_asked_with_the_arguments_in_sight(panel: PanelPage, page: Page) -> None:
    call = {"kind": "call", "id": "abc", "name": "lookup_owner", "arguments": '{"id": "42"}', "state": "asking"}
    panel.opens(turn(state="running", parts=[call | {"result": "", "seconds": 0}]))
    expect(page.get_by_label("Arguments")).to_be_visible()
    page.get_by_role("button", name="Deny").click()

    assert [(message["call"], message["isAllowed"]) for message in panel.sent("consent")] == [("abc", False)]


def test_a_conversation_is_cleared_at_the_second_press(panel: PanelPage, page: Page) -> None:
    panel.opens(turn())
    page.get_by_role("button", name="Clear").click()
    before = panel.sent("clear")
    page.get_by_role("button", name="Clear all?").click()

    assert (before, len(panel.sent("clear"))) == ([], 1)


def test_an_export_is_downloaded(panel: PanelPage, page: Page, tmp_path: Path) -> None:
    panel.opens(turn())
    page.get_by_text("Export").click()
    page.get_by_role("button", name="Markdown").click()
    with page.expect_download() as download:
        panel.delivers({"kind": "file", "name": "conversation.md", "text": "> Hello"})
    download.value.save_as(tmp_path / "talk.md")

    assert panel.sent("export")[0]["format"] == "md"
    assert (tmp_path / "talk.md").read_text() == "> Hello"


def test_a_chosen_image_goes_along(panel: PanelPage, page: Page, field: Locator) -> None:
    page.get_by_label("Image files").set_input_files({"name": "plot.png", "mimeType": "image/png", "buffer": PNG})
    page.get_by_text("plot.png").wait_for()
    field.fill("What is this?")
    field.press("Enter")
    (message,) = panel.sent("ask")

    assert (message["images"], message["buffers"]) == (["plot.png"], [len(PNG)])


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_an_image_can_be_dropped_and_pasted(panel: PanelPage, page: Page, field: Locator, how: str) -> None:
    field.evaluate(
        """(field, [how, bytes]) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], "plot.png", {type: "image/png"}));
          const options = {bubbles: true, cancelable: true};
          field.dispatchEvent(how === "drop" ? new DragEvent(how, {...options, dataTransfer: data})
            : new ClipboardEvent(how, {...options, clipboardData: data}));
        }""",
        [how, list(PNG)],
    )

    page.get_by_role("listitem").filter(has_text="plot.png").wait_for()


def test_another_file_is_refused_and_the_text_stays(panel: PanelPage, page: Page, field: Locator) -> None:
    field.fill("What is this?")
    page.get_by_label("Image files").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    page.get_by_text("a.txt is no image").wait_for()

    expect(field).to_have_value("What is this?")
