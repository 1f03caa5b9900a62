"""What is typed in the panel is lost nowhere: on a connection that loses, doubles and delays messages, nor when the kernel ends."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

import mistral_nb
from tests.browser.panel_module import FACTS, PNG, PanelPage, turn
from tests.fake_api import FakeApi

pytestmark = pytest.mark.browser

MOST_ROUNDS = 100
QUESTIONS = ["One?", "Two?", "Three?", "Four?"]


@pytest.mark.parametrize("seed", range(3))
def test_each_question_is_asked_once_and_in_order(page: Page, seed: int) -> None:
    chance = random.Random(seed)
    with FakeApi() as api:
        mistral_nb.configure(endpoint=api.url, api_key=api.api_key)
        panel = mistral_nb.ChatPanel()
        told: list[dict[str, Any]] = []
        panel.send = told.append
        shown = PanelPage(page)
        field = page.get_by_label("Question", exact=True)
        for question in QUESTIONS:
            field.fill(question)
            field.press("Enter")
            carry(shown, panel, told, chance)
        for _ in range(MOST_ROUNDS):
            if page.evaluate("window.waits.size") == 0:  # the kernel has heard all that the page has said
                break
            shown.time_passes()
            carry(shown, panel, told, chance)
        panel.close()
        panel.conversation.wait_until_idle(60)

    assert [turn.question for turn in panel.turns] == QUESTIONS
    expect(page.get_by_text("Being sent")).to_have_count(0)


def test_a_refused_question_comes_back_into_the_field(panel: PanelPage, page: Page, field: Locator) -> None:
    field.fill("Hello")
    field.press("Enter")
    field.press_sequentially("next")
    draft = panel.sent("ask")[0]["draft"]
    error = {"kind": "UnknownPrice", "problem": "No price.", "remedy": "Leave budget_usd out."}
    panel.delivers({"kind": "refused", "draft": draft, "error": error})

    expect(field).to_have_value("Hello\nnext")
    expect(page.get_by_text("UnknownPrice: No price.")).to_be_visible()


def test_a_question_is_shown_until_the_kernel_takes_it(panel: PanelPage, page: Page, field: Locator) -> None:
    field.fill("Hello")
    field.press("Enter")
    expect(page.get_by_text("Being sent")).to_be_visible()
    panel.says("turn", turn=turn(question="Hello", state="running"), draft=panel.sent("ask")[0]["draft"])

    expect(page.get_by_text("Being sent")).to_have_count(0)
    expect(page.get_by_text("Hello", exact=True)).to_have_count(1)


def test_a_question_that_the_kernel_did_not_hear_is_sent_again(panel: PanelPage, field: Locator) -> None:
    field.fill("Hello")
    field.press("Enter")
    (lost,) = panel.sent("ask")
    panel.time_passes()
    panel.delivers({"kind": "heard", "page": lost["page"], "upTo": 0, "isGap": True})
    panel.hears(lost)
    panel.says("turn", turn=turn(question="Hello", state="running"), draft=lost["draft"])
    panel.time_passes()

    assert panel.sent("ask") == [lost, lost]
    assert len(panel.sent("progress")) == 1


def test_a_kernel_that_is_busy_is_sent_an_image_once(panel: PanelPage, page: Page, field: Locator) -> None:
    page.get_by_label("Image files").set_input_files({"name": "plot.png", "mimeType": "image/png", "buffer": PNG})
    page.get_by_text("plot.png").wait_for()
    field.press("Enter")
    for _ in range(20):
        panel.time_passes()

    assert len(panel.sent("ask")) == 1
    assert len(panel.sent("progress")) == 20


def test_what_was_said_later_waits_for_what_the_kernel_missed(panel: PanelPage, field: Locator) -> None:
    for text in ("One", "Two"):
        field.fill(text)
        field.press("Enter")
    one, two = panel.sent("ask")
    panel.delivers({"kind": "heard", "page": one["page"], "upTo": 0, "isGap": True})

    assert (one["number"], two["number"]) == (1, 2)
    assert panel.sent("ask") == [one, two, one]


def test_a_kernel_that_does_not_answer_a_hello_is_asked_again(page: Page) -> None:
    panel = PanelPage(page)
    panel.time_passes()
    asked = len(panel.sent("hello"))
    panel.opens()
    panel.time_passes()

    assert (asked, len(panel.sent("hello"))) == (2, 2)


def test_a_kernel_that_is_gone_is_not_asked_for_ever_but_anew_when_it_may_be_back(panel: PanelPage, page: Page) -> None:
    asked = []
    for _ in range(2):
        before = len(panel.sent("hello"))
        page.evaluate("window.kernel.ends()")  # what Jupyter says of a connection that ends and of one that begins
        for _ in range(20):
            panel.time_passes()
        asked.append(len(panel.sent("hello")) - before)

    assert 1 < asked[0] == asked[1] < 10


@pytest.mark.parametrize("became", ["a turn", "refused"])
def test_what_became_of_a_question_is_asked_where_the_page_missed_it(
    panel: PanelPage, page: Page, field: Locator, became: str
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


def test_what_a_kernel_that_ends_had_not_taken_comes_back(panel: PanelPage, page: Page, field: Locator) -> None:
    panel.says("turn", turn=turn(state="running"))
    field.fill("Hello")
    field.press("Enter")
    page.evaluate("window.kernel.ends()")
    page.get_by_text("The kernel has ended.").wait_for()

    expect(field).to_have_value("Hello")
    expect(page.locator(".answer")).to_have_text("Two.")


def test_a_kernel_that_answers_after_all_is_alive(panel: PanelPage, page: Page, field: Locator) -> None:
    page.evaluate("window.kernel.ends()")
    page.get_by_text("The kernel has ended.").wait_for()
    panel.opens(turn())
    field.fill("Hello")
    field.press("Enter")

    expect(page.get_by_text("The kernel has ended.")).to_have_count(0)
    assert len(panel.sent("ask")) == 1


def test_what_a_closed_connection_does_not_take_comes_back(panel: PanelPage, page: Page, field: Locator) -> None:
    page.evaluate("() => { window.model.send = () => { throw new Error('closed'); }; }")
    field.fill("Hello")
    field.press("Enter")
    page.get_by_text("The kernel has ended.").wait_for()

    expect(field).to_have_value("Hello")


def carry(shown: PanelPage, panel: mistral_nb.ChatPanel, told: list[dict[str, Any]], chance: random.Random) -> None:
    """Carry to the other side what was said on each, as it may happen to messages."""
    for message in disturbed(shown.page.evaluate("window.sent.splice(0)"), chance):
        panel._handle_custom_msg(message, [])
    messages, told[:] = told[:], []
    for message in disturbed(messages, chance):
        shown.delivers(message)


def disturbed(messages: Iterable[dict[str, Any]], chance: random.Random) -> list[dict[str, Any]]:
    carried = [message for message in messages for _ in range(chance.choice([0, 0, 1, 1, 2]))]
    chance.shuffle(carried)
    return carried
