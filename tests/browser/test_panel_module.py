"""The panel's module in Chromium, without a kernel: what it shows, sends and refuses to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.answers import ATTACK, BEAUTIFUL
from tests.browser.conftest import PATIENCE_MILLISECONDS
from tests.browser.panel_module import FACTS, PNG, PanelPage, turn

pytestmark = pytest.mark.browser

# Classes of payloads that were tried against other panels: handlers, frames, forms, styles, addresses, clobbering, mutation, maths.
PAYLOADS = {
    "script": "<script>window.attacked = 1</script>",
    "handler": "<img src=x onerror='window.attacked = 1'>",
    "image": "![x](https://evil.example/pixel.png)",
    "image handler": '![x](x"onerror="window.attacked=1)',
    "svg": "<svg onload='window.attacked = 1'><script>window.attacked = 1</script></svg>",
    "frame": "<iframe srcdoc='<script>parent.attacked = 1</script>'></iframe>",
    "object": "<object data='https://evil.example/x'></object><embed src='https://evil.example/x'>",
    "form": "<form action='https://evil.example'><input name=x><button>Send</button></form>",
    "style": "<style>body {display: none}</style><p style='position:fixed;inset:0'>x</p>",
    "link": "[click](javascript:window.attacked=1)",
    "coded link": "[click](&#106;avascript:window.attacked=1)",
    "data link": "[click](data:text/html,<script>window.attacked=1</script>)",
    "autolink": "<javascript:window.attacked=1>",
    "reference": "[click][a]\n\n[a]: javascript:window.attacked=1",
    "clobbering": "<a id=model name=kernel>x</a><form id=sent></form>",
    "mutation": "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=window.attacked=1&gt;'>",
    "template": "<template><img src=x onerror=window.attacked=1></template>",
    "code": "```html\n<img src=x onerror='window.attacked = 1'>\n```",
    "language": '```"><img/src=x/onerror=window.attacked=1>\nx\n```',
    "inline code": "`<img src=x onerror=window.attacked=1>`",
    "table": "| <img src=x onerror=window.attacked=1> |\n|---|\n| [x](javascript:window.attacked=1) |",
    "formula": "$\\href{javascript:window.attacked=1}{x}$ $$<img src=x onerror=window.attacked=1>$$",
    "meta": "<meta http-equiv=refresh content='0;url=https://evil.example'><base href='https://evil.example'>",
    "link tag": "<link rel=stylesheet href='https://evil.example/x.css'>",
    "class": "<p class='mistral-chat jp-Notebook'>x</p>",
}
FORBIDDEN = (
    "script, img, svg, iframe, object, embed, form, input:not([type=file]), style:not(.hider), meta, link, base, math"
)


@pytest.fixture(scope="module")
def page(chromium: Browser) -> Iterator[Page]:
    """Open one page for all of these tests: opening it takes longer than most of them."""
    page = chromium.new_page(viewport={"width": 1000, "height": 1400})
    page.set_default_timeout(PATIENCE_MILLISECONDS)
    yield page
    page.context.close()


@pytest.fixture
def panel(page: Page) -> PanelPage:
    """Load the page anew, with a panel without turns."""
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


class TestSafety:
    @pytest.mark.parametrize("payload", PAYLOADS.values(), ids=list(PAYLOADS))
    def test_an_answer_that_comes_in_pieces_can_not_act(self, attacked: PanelPage, payload: str) -> None:
        attacked.opens(turn(state="running", parts=[]))
        attacked.grows(payload)
        attacked.says("turn", turn=turn(parts=[{"kind": "text", "text": payload}]))

        assert_harmless(attacked)

    @pytest.mark.parametrize("payload", [ATTACK, *PAYLOADS.values()], ids=["all", *PAYLOADS])
    def test_nothing_that_comes_from_outside_can_act_wherever_it_is_shown(
        self, attacked: PanelPage, payload: str
    ) -> None:
        call: dict[str, Any] = {"kind": "call", "id": "a", "state": "done", "seconds": 1}
        texts = {"name": payload, "arguments": payload, "result": payload}
        parts = [{"kind": "thinking", "text": payload}, call | texts, {"kind": "text", "text": payload}]
        image = {"name": payload, "type": "image/png", "bytes": 1}
        error = {"kind": payload, "problem": payload, "remedy": payload}
        hostile = turn(question=payload, parts=parts, images=[image], error=error, note=payload, footer=payload)
        frame = {"name": payload, "label": payload, "text": payload}
        attacked.opens(
            hostile, frames=[frame], model=payload, models=[payload], tools=[{"name": payload, "asks": False}]
        )

        assert_harmless(attacked)

    def test_only_the_panels_own_classes_come_through(self, attacked: PanelPage, page: Page) -> None:
        attacked.opens(turn(parts=[{"kind": "text", "text": "```python\nclass A: pass\n```"}]))

        assert page.locator(".answer [class]").evaluate_all(
            "nodes => nodes.every(({className}) => /^(hljs|text|code|code-bar|$)/.test(className))"
        )


def assert_harmless(panel: PanelPage) -> None:
    page = panel.page
    for link in page.locator(".mistral-chat a").all():
        link.evaluate("link => { if (!/^(https?|mailto):/.test(link.href)) link.click(); }")

    assert panel.attack is None
    assert panel.requested == []
    assert page.locator(".mistral-chat").locator(FORBIDDEN).count() == 0
    assert page.locator(".mistral-chat [style], .answer [id], .answer [name]").count() == 0
    assert page.locator(".mistral-chat").is_visible()


class TestKeys:
    def test_enter_sends_and_empties_the_field(self, panel: PanelPage, field: Locator) -> None:
        field.fill("Hello")
        field.press("Enter")

        assert [message["text"] for message in panel.sent("ask")] == ["Hello"]
        expect(field).to_have_value("")

    def test_shift_enter_breaks_the_line(self, panel: PanelPage, field: Locator) -> None:
        field.fill("One")
        field.press("Shift+Enter")
        field.press_sequentially("Two")

        expect(field).to_have_value("One\nTwo")
        assert panel.sent("ask") == []

    def test_escape_stops_what_is_being_answered(self, panel: PanelPage, field: Locator) -> None:
        panel.says("turn", turn=turn(state="running"))
        field.press("Escape")

        assert [message["turn"] for message in panel.sent("stop")] == [1]

    def test_the_focus_stays_in_the_field(self, panel: PanelPage, field: Locator) -> None:
        field.fill("Hello")
        field.press("Enter")
        panel.says("turn", turn=turn(state="running"))
        field.press("Escape")
        panel.says("turn", turn=turn(state="stopped"))

        assert field.evaluate("field => document.activeElement === field")

    def test_no_key_reaches_the_page_around_it(self, panel: PanelPage, field: Locator, page: Page) -> None:
        page.evaluate("addEventListener('keydown', (event) => (window.heard = event.key))")
        for key in ("a", "Enter", "Shift+Enter", "Escape", "Control+Enter", "ArrowDown"):
            field.press(key)

        assert page.evaluate("window.heard ?? null") is None

    def test_everything_can_be_reached_by_keyboard(self, panel: PanelPage, page: Page) -> None:
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

    def test_a_word_that_an_input_method_composes_is_not_sent(self, panel: PanelPage, field: Locator) -> None:
        field.fill("にほん")
        field.evaluate(
            "field => field.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
        )

        assert panel.sent("ask") == []


def _next_focused(page: Page) -> str:
    page.keyboard.press("Tab")
    name: str = page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent")
    return name


class TestStreaming:
    def test_pieces_are_put_together(self, panel: PanelPage, page: Page) -> None:
        panel.says("turn", turn=turn(state="running", parts=[]))
        panel.says("piece", turn=1, part=0, type="text", at=0, text="**many")
        panel.says("piece", turn=1, part=0, type="text", at=6, text=" words**")

        expect(page.locator(".answer strong")).to_have_text("many words")

    def test_a_piece_that_comes_twice_or_late_is_dropped(self, panel: PanelPage, page: Page) -> None:
        panel.says("turn", turn=turn(state="running", parts=[]))
        piece = {"kind": "piece", "number": 3, "turn": 1, "part": 0, "type": "text", "at": 0, "text": "once"}
        for number in (3, 3, 2):
            panel.delivers(piece | {"number": number})

        expect(page.locator(".answer")).to_have_text("once")
        assert len(panel.sent("hello")) == 1

    def test_after_a_gap_everything_is_asked_for_anew(self, panel: PanelPage, page: Page) -> None:
        panel.says("turn", turn=turn(state="running", parts=[]))
        panel.delivers({"kind": "piece", "number": 9, "turn": 1, "part": 0, "type": "text", "at": 90, "text": "late"})
        panel.delivers(
            {"kind": "snapshot", "number": 10, "turns": [turn()], "facts": {"models": [], "frames": [], "tools": []}}
        )

        assert len(panel.sent("hello")) == 2
        expect(page.locator(".answer")).to_have_text("Two.")

    def test_a_stop_freezes_the_answer_at_once(self, panel: PanelPage, page: Page, field: Locator) -> None:
        panel.says("turn", turn=turn(state="running", parts=[]))
        panel.says("piece", turn=1, part=0, type="text", at=0, text="first")
        field.press("Escape")
        panel.says("piece", turn=1, part=0, type="text", at=5, text=" and late")

        expect(page.get_by_text("Stopped before the end.")).to_be_visible()
        expect(page.locator(".answer")).to_have_text("first")

    def test_a_view_that_opens_later_shows_the_same(self, panel: PanelPage, page: Page) -> None:
        panel.says("turn", turn=turn(state="running", parts=[]))
        panel.says("piece", turn=1, part=0, type="text", at=0, text="first")
        page.evaluate("() => { window.show('two'); }")
        panel.says("piece", turn=1, part=0, type="text", at=5, text=" and second")

        expect(page.locator("#one .answer")).to_have_text("first and second")
        expect(page.locator("#two .answer")).to_have_text("first and second")

    def test_it_follows_the_end_only_where_the_reader_was_there(self, panel: PanelPage, page: Page) -> None:
        panel.says("turn", turn=turn(state="running", parts=[{"kind": "text", "text": "line\n\n" * 100}]))
        log = page.get_by_role("log")
        followed = log.evaluate("log => log.scrollHeight - log.scrollTop - log.clientHeight")
        log.evaluate("log => { log.scrollTop = 0; }")
        panel.says("piece", turn=1, part=0, type="text", at=600, text="line\n\n" * 50)

        assert followed < 2
        assert log.evaluate("log => log.scrollTop") == 0

    def test_nothing_is_left_when_views_close(self, panel: PanelPage, page: Page) -> None:
        page.evaluate("() => { window.show('two'); }")
        page.evaluate("async () => { (await window.closeFirst)(); (await window.initialized)(); }")
        panel.says("turn", turn=turn())

        expect(page.locator("#one *")).to_have_count(0)
        assert page.evaluate("window.kernel.listeners()") == 0


class TestAnswers:
    def test_tables_code_and_formulas_are_shown(self, panel: PanelPage, page: Page) -> None:
        panel.opens(turn(parts=[{"kind": "text", "text": BEAUTIFUL}]))

        expect(page.locator(".answer td")).to_have_count(4)
        expect(page.locator(".answer pre .hljs-keyword")).to_have_count(2)
        expect(page.locator(".maths").first).to_have_text("$r = \\frac{lost}{all}$")
        expect(page.get_by_text("It costs from $5 to $10, or US$7.")).to_be_visible()

    def test_code_can_be_copied(self, panel: PanelPage, page: Page) -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        panel.opens(turn(parts=[{"kind": "text", "text": "```python\nx = 1\n```"}]))
        page.get_by_role("button", name="Copy code").click()
        page.get_by_text("Copied.").wait_for()

        assert page.evaluate("navigator.clipboard.readText()") == "x = 1"

    def test_code_is_copied_where_there_is_no_notebook_to_put_it_into(self, panel: PanelPage, page: Page) -> None:
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        panel.opens(turn(parts=[{"kind": "text", "text": "```python\nx = 1\n```"}]))
        page.get_by_role("button", name="Insert below").click()
        page.get_by_text("there is no notebook").wait_for()

        assert page.evaluate("navigator.clipboard.readText()") == "x = 1"

    def test_an_error_has_its_remedy_and_a_retry(self, panel: PanelPage, page: Page) -> None:
        error = {"kind": "RateLimited", "problem": "The limit is reached.", "remedy": "Wait a minute."}
        panel.opens(turn(state="failed", parts=[], error=error, footer=""))
        page.get_by_role("button", name="Retry", exact=True).click()

        shown = page.get_by_role("alert").all_inner_texts()[0].split("\n\n")
        assert shown == ["RateLimited: The limit is reached.", "Wait a minute."]
        assert [(message["turn"], message["model"]) for message in panel.sent("retry")] == [(1, None)]

    def test_a_retry_can_name_another_model(self, panel: PanelPage, page: Page) -> None:
        panel.opens(turn())
        page.get_by_text("Retry with …").click()
        page.get_by_role("button", name="mistral-large-latest").click()

        assert panel.sent("retry")[0]["model"] == "mistral-large-latest"

    def test_a_question_is_edited_in_its_place(self, panel: PanelPage, page: Page) -> None:
        panel.opens(turn())
        page.get_by_role("button", name="Edit").click()
        page.get_by_label("Edited question").fill("How many rows?")
        page.get_by_label("Edited question").press("Enter")

        assert [(message["turn"], message["text"]) for message in panel.sent("edit")] == [(1, "How many rows?")]

    def test_what_was_left_out_is_said(self, panel: PanelPage, page: Page) -> None:
        panel.opens(turn(leftOut=3))

        expect(page.get_by_text("3 older turns were left out")).to_be_visible()

    def test_consent_is_asked_with_the_arguments_in_sight(self, panel: PanelPage, page: Page) -> None:
        call = {"kind": "call", "id": "abc", "name": "lookup_owner", "arguments": '{"id": "42"}', "state": "asking"}
        panel.opens(turn(state="running", parts=[call | {"result": "", "seconds": 0}]))
        expect(page.get_by_label("Arguments")).to_be_visible()
        page.get_by_role("button", name="Deny").click()

        assert [(message["call"], message["isAllowed"]) for message in panel.sent("consent")] == [("abc", False)]

    def test_a_conversation_is_cleared_at_the_second_press(self, panel: PanelPage, page: Page) -> None:
        panel.opens(turn())
        page.get_by_role("button", name="Clear").click()
        before = panel.sent("clear")
        page.get_by_role("button", name="Clear all?").click()

        assert (before, len(panel.sent("clear"))) == ([], 1)

    def test_an_export_is_downloaded(self, panel: PanelPage, page: Page, tmp_path: Path) -> None:
        panel.opens(turn())
        page.get_by_text("Export").click()
        page.get_by_role("button", name="Markdown").click()
        with page.expect_download() as download:
            panel.delivers({"kind": "file", "name": "conversation.md", "text": "> Hello"})
        download.value.save_as(tmp_path / "talk.md")

        assert panel.sent("export")[0]["format"] == "md"
        assert (tmp_path / "talk.md").read_text() == "> Hello"


class TestNothingIsLost:
    def test_a_refused_question_comes_back_into_the_field(self, panel: PanelPage, page: Page, field: Locator) -> None:
        field.fill("Hello")
        field.press("Enter")
        field.press_sequentially("next")
        draft = panel.sent("ask")[0]["draft"]
        error = {"kind": "UnknownPrice", "problem": "No price.", "remedy": "Leave budget_usd out."}
        panel.delivers({"kind": "refused", "draft": draft, "error": error})

        expect(field).to_have_value("Hello\nnext")
        expect(page.get_by_text("UnknownPrice: No price.")).to_be_visible()

    def test_a_question_is_shown_until_the_kernel_takes_it(self, panel: PanelPage, page: Page, field: Locator) -> None:
        field.fill("Hello")
        field.press("Enter")
        expect(page.get_by_text("Being sent")).to_be_visible()
        panel.says("turn", turn=turn(question="Hello", state="running"), draft=panel.sent("ask")[0]["draft"])

        expect(page.get_by_text("Being sent")).to_have_count(0)
        expect(page.get_by_text("Hello", exact=True)).to_have_count(1)

    def test_a_question_that_the_kernel_does_not_hear_is_sent_again_until_it_does(
        self, panel: PanelPage, field: Locator
    ) -> None:
        field.fill("Hello")
        field.press("Enter")
        panel.time_passes()
        panel.time_passes()
        first, *again = panel.sent("ask")
        panel.says("turn", turn=turn(question="Hello", state="running"), draft=first["draft"])
        panel.hears(first)
        panel.time_passes()

        assert again == [first, first]
        assert panel.sent("ask") == [first, *again]

    def test_what_was_said_later_waits_for_what_the_kernel_missed(self, panel: PanelPage, field: Locator) -> None:
        for text in ("One", "Two"):
            field.fill(text)
            field.press("Enter")
        one, two = panel.sent("ask")
        panel.delivers({"kind": "heard", "page": one["page"], "upTo": 0, "isGap": True})

        assert (one["number"], two["number"]) == (1, 2)
        assert panel.sent("ask") == [one, two, one]

    def test_a_kernel_that_does_not_answer_a_hello_is_asked_again(self, page: Page) -> None:
        panel = PanelPage(page)
        panel.time_passes()
        asked = len(panel.sent("hello"))
        panel.opens()
        panel.time_passes()

        assert (asked, len(panel.sent("hello"))) == (2, 2)

    def test_a_kernel_that_is_gone_is_not_asked_for_ever(self, panel: PanelPage, page: Page) -> None:
        page.evaluate("window.kernel.ends()")
        for _ in range(20):
            panel.time_passes()

        assert len(panel.sent("hello")) < 10

    @pytest.mark.parametrize("became", ["a turn", "refused"])
    def test_what_became_of_a_question_is_asked_where_the_page_missed_it(
        self, panel: PanelPage, page: Page, field: Locator, became: str
    ) -> None:
        field.fill("Hello")
        field.press("Enter")
        (asked,) = panel.sent("ask")
        panel.hears(asked)
        refusal = {"kind": "UnknownPrice", "problem": "No price.", "remedy": "Leave budget_usd out."}
        draft, turns = asked["draft"], [turn(question="Hello")] if became == "a turn" else []
        panel.says("snapshot", turns=turns, facts=FACTS, drafts={draft: None if became == "a turn" else refusal})

        assert panel.sent("hello")[-1]["drafts"] == [draft]
        expect(page.get_by_text("Being sent")).to_have_count(0)
        expect(field).to_have_value("" if became == "a turn" else "Hello")
        expect(page.get_by_text("UnknownPrice: No price.")).to_be_visible(visible=became == "refused")

    def test_what_a_kernel_that_ends_had_not_taken_comes_back(
        self, panel: PanelPage, page: Page, field: Locator
    ) -> None:
        panel.says("turn", turn=turn(state="running"))
        field.fill("Hello")
        field.press("Enter")
        page.evaluate("window.kernel.ends()")
        page.get_by_text("The kernel has ended.").wait_for()

        expect(field).to_have_value("Hello")
        expect(page.locator(".answer")).to_have_text("Two.")

    def test_a_kernel_that_answers_after_all_is_alive(self, panel: PanelPage, page: Page, field: Locator) -> None:
        page.evaluate("window.kernel.ends()")
        page.get_by_text("The kernel has ended.").wait_for()
        panel.opens(turn())
        field.fill("Hello")
        field.press("Enter")

        expect(page.get_by_text("The kernel has ended.")).to_have_count(0)
        assert len(panel.sent("ask")) == 1

    def test_what_a_closed_connection_does_not_take_comes_back(
        self, panel: PanelPage, page: Page, field: Locator
    ) -> None:
        page.evaluate("() => { window.model.send = () => { throw new Error('closed'); }; }")
        field.fill("Hello")
        field.press("Enter")
        page.get_by_text("The kernel has ended.").wait_for()

        expect(field).to_have_value("Hello")


class TestImages:
    def test_a_chosen_image_goes_along(self, panel: PanelPage, page: Page, field: Locator) -> None:
        page.get_by_label("Image files").set_input_files({"name": "plot.png", "mimeType": "image/png", "buffer": PNG})
        page.get_by_text("plot.png").wait_for()
        field.fill("What is this?")
        field.press("Enter")
        (message,) = panel.sent("ask")

        assert (message["images"], message["buffers"]) == (["plot.png"], [len(PNG)])

    @pytest.mark.parametrize("how", ["drop", "paste"])
    def test_an_image_can_be_dropped_and_pasted(self, panel: PanelPage, page: Page, field: Locator, how: str) -> None:
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

    def test_another_file_is_refused_and_the_text_stays(self, panel: PanelPage, page: Page, field: Locator) -> None:
        field.fill("What is this?")
        page.get_by_label("Image files").set_input_files({"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
        page.get_by_text("a.txt is no image").wait_for()

        expect(field).to_have_value("What is this?")


class TestAccessibility:
    @pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
    def test_axe_finds_nothing(
        self, panel: PanelPage, page: Page, node_modules: Path, screenshots: Path, *, is_dark: bool
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


# The colours of JupyterLab's dark theme that the panel takes.
DARK = """:root {
  --jp-ui-font-color1: rgb(255 255 255 / 87%); --jp-layout-color1: #111; --jp-layout-color2: #212121; --jp-border-color1: #616161;
  --jp-brand-color1: #2196f3; --jp-cell-editor-background: #212121; --jp-error-color1: #d32f2f; --jp-warn-color1: #f57c00;
} body { background: #111; color: #fff; }"""
