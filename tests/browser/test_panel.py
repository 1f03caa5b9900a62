"""The panel in a real JupyterLab: beside a kernel that may be busy, restarted or gone."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, WebSocket, expect

from tests.browser.answers import ATTACK, BEAUTIFUL
from tests.browser.jupyterlab import (
    cells_of,
    choose_theme,
    outputs_of,
    restart,
    run_cell,
    save,
    start_cell,
    until,
)
from tests.browser.panel_module import PNG
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.browser

IMPORT = "import mistral_nb"
CHAT = "panel = mistral_nb.chat()"
ASKS_FIRST = '''@mistral_nb.tool(confirm=True)
def weather(city: str) -> str:
    """Return the weather."""
    return "sunny"'''


def field(page: Page) -> Locator:
    return page.get_by_label("Question", exact=True)


def panel(page: Page) -> Locator:
    return page.locator(".mistral-chat")


def ask(page: Page, text: str) -> None:
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    field(page).fill(text)
    field(page).press("Enter")


def test_a_conversation_with_a_frame_and_a_tool(api: FakeApi, opened: Callable[..., Page], screenshots: Path) -> None:
    """Send, stream, allow a call, put code into a cell, see it in the dark, change the model, and read it all from Python."""
    frame = "import pandas as pd\nsales = pd.DataFrame({'town': ['Lyon', 'Nice'], 'sold': [3, 5]})"
    page = opened(
        f"{IMPORT}\n{frame}\n{ASKS_FIRST}", "panel = mistral_nb.chat(df=sales, tools=[weather])", "len(panel.turns)"
    )
    run_cell(page, 1)
    run_cell(page, 2)
    field(page).wait_for()
    preview = page.get_by_label("What is sent of sales")
    page.get_by_text("Shared: sales: schema and 2 rows").click()
    expect(preview).to_contain_text("Lyon")
    page.get_by_text("Shared: sales: schema and 2 rows").click()

    ask(page, "What is the weather in Paris?")
    page.get_by_role("button", name="Allow").wait_for()
    page.screenshot(path=screenshots / "panel_tool_approval.png")
    page.get_by_role("button", name="Allow").click()
    panel(page).get_by_text("The tool says: sunny").wait_for()

    api.play(Fault(content=BEAUTIFUL, bytes_per_second=20_000))
    ask(page, "Churn?")
    panel(page).get_by_text("The end of the answer.").wait_for()
    page.get_by_role("button", name="Copy answer").last.wait_for()
    assert api.requests[-1].body["messages"][0]["content"] == preview.text_content()
    page.screenshot(path=screenshots / "panel_light.png")

    page.get_by_role("button", name="Insert below").click()
    until(lambda: cells_of(page)[3][0].startswith("def churn"))
    assert cells_of(page)[3][1] is None

    choose_theme(page, "JupyterLab Dark")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.locator("#jupyterlab-splash").wait_for(state="detached")
    page.screenshot(path=screenshots / "panel_dark.png")
    choose_theme(page, "JupyterLab Light")
    page.locator("body[data-jp-theme-light=true]").wait_for(state="attached")

    api.play(Fault(status=429, body={"message": "Rate limit exceeded"}), Fault(status=401))
    ask(page, "Fails?")
    panel(page).get_by_text("InvalidKey").wait_for()
    page.screenshot(path=screenshots / "panel_error.png")
    assert run_cell(page, 4)[0]["data"]["text/plain"] == "3"


def test_an_answer_of_1000_tokens_costs_150_kb_and_comes_in_pieces(
    api: FakeApi, opened: Callable[..., Page], lab: Page
) -> None:
    received: list[int] = []

    def listen(socket: WebSocket) -> None:
        socket.on("framereceived", lambda payload: received.append(len(payload)))

    lab.on("websocket", listen)
    api.play(Fault(content="some more words " * 281 + "the end.", bytes_per_second=50_000))
    page = opened(IMPORT, CHAT)
    run_cell(page, 1)
    run_cell(page, 2)
    field(page).wait_for()
    received.clear()
    ask(page, "Tell me everything.")
    panel(page).get_by_text("the end.").wait_for()
    panel(page).get_by_text("tokens read").wait_for()

    assert len(received) > 30
    assert sum(received) < 150_000


def test_stop_works_while_a_cell_runs_and_its_keys_are_no_shortcuts(
    api: FakeApi, opened: Callable[..., Page], tmp_path: Path
) -> None:
    api.play(Fault(content="first words " * 1_000, rest_waits_for=threading.Event()))
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.05)"
    page = opened(IMPORT, CHAT, wait, "panel.last.state")
    run_cell(page, 1)
    run_cell(page, 2)
    field(page).wait_for()
    ask(page, "Tell me everything.")
    panel(page).get_by_text("first words").first.wait_for()
    start_cell(page, 3)
    field(page).press("Escape")
    panel(page).get_by_text("Stopped before the end.").wait_for()
    frozen = panel(page).locator(".answer").inner_text()
    until(lambda: api.stats.in_flight == 0)
    (tmp_path / "go").touch()
    field(page).press_sequentially("abdd\n")
    until(lambda: cells_of(page)[3][1] is not None)
    panel(page).get_by_text("Answer to: abdd").wait_for()

    expect(panel(page).locator(".answer").first).to_contain_text(frozen)
    assert len(cells_of(page)) == 5
    assert run_cell(page, 4)[0]["data"]["text/plain"] == "'done'"


def test_a_page_that_is_loaded_anew_in_the_middle_of_an_answer_catches_up_and_keeps_the_transcript(
    api: FakeApi, opened: Callable[..., Page], reopened: Callable[[], None]
) -> None:
    may_end = threading.Event()
    api.play(Fault(content="first words " * 1_000 + "the end.", rest_waits_for=may_end))
    page = opened(IMPORT, CHAT)
    run_cell(page, 1)
    run_cell(page, 2)
    field(page).wait_for()
    ask(page, "Tell me everything.")
    panel(page).get_by_text("first words").first.wait_for()
    reopened()
    panel(page).get_by_text("first words").first.wait_for()
    may_end.set()
    panel(page).get_by_text("the end.").wait_for()
    panel(page).get_by_text("tokens read").wait_for()
    expect(panel(page).locator(".answer p")).to_have_text("first words " * 1_000 + "the end.")

    until(lambda: any("the end." in str(output) for output in outputs_of(page, 2)))
    ask(page, "And now?")
    until(lambda: any("Answer to: And now?" in str(output) for output in outputs_of(page, 2)))


def test_a_transcript_is_left_when_the_kernel_is_gone_and_can_not_act(
    api: FakeApi,
    opened: Callable[..., Page],
    reopened: Callable[[], None],
    screenshots: Path,
) -> None:
    api.play(Fault(content=ATTACK))
    page = opened(IMPORT, CHAT)
    run_cell(page, 1)
    run_cell(page, 2)
    field(page).wait_for()
    ask(page, "Attack!")
    panel(page).get_by_text("The end of the attack.").wait_for()
    panel(page).get_by_text("tokens read").wait_for()
    transcript = page.locator(".mistral-nb-transcript")
    until(lambda: "The end of the attack." in (transcript.text_content() or ""))
    expect(transcript).to_be_hidden()

    save(page)
    restart(page)
    panel(page).get_by_text("The kernel has ended.").wait_for()
    expect(panel(page).get_by_text("The end of the attack.")).to_be_visible()

    reopened()
    transcript.get_by_text("The end of the attack.").wait_for()
    page.screenshot(path=screenshots / "panel_transcript.png")
    expect(page.get_by_text("Error displaying widget").filter(visible=True)).to_have_count(0)
    assert page.evaluate("window.attacked ?? null") is None


def test_two_views_agree_and_the_embedded_model_answers(opened: Callable[..., Page], embedded: Path) -> None:
    """One panel alone and in a layout, with a real model; it says that it can't look at images, and the image stays."""
    page = opened(
        f"%env MISTRAL_NB_HOME={embedded}\n{IMPORT}",
        "panel = mistral_nb.chat(model='local-tiny', max_tokens=30)",
        "import ipywidgets\nipywidgets.VBox([panel])",
    )
    for number in range(1, 4):
        run_cell(page, number)
    one, other = panel(page).nth(0), panel(page).nth(1)
    other.get_by_label("Question", exact=True).fill("Name a town in France.")
    other.get_by_label("Question", exact=True).press("Enter")
    one.get_by_text("tokens read").wait_for(timeout=180_000)
    other.get_by_text("tokens read").wait_for()
    answers = [view.locator(".answer").inner_text() for view in (one, other)]
    one.get_by_label("Image files").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": PNG})
    one.get_by_text("a.png").wait_for()
    one.get_by_label("Question", exact=True).press("Enter")
    one.get_by_text("can't look at images").wait_for()
    one.get_by_role("listitem").filter(has_text="a.png").wait_for()

    assert answers[0] == answers[1] != ""
