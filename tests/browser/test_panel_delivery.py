"""The panel's page and its kernel over a connection that loses messages, doubles them and lets them overtake each other."""

import random
from collections.abc import Iterable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

import mistral_nb
from tests.browser.panel_module import PanelPage
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
