from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mistral_nb import errors
from mistral_nb.completion import TokenUsage
from mistral_nb.engine.session import Session
from tests.fake_api import FakeApi, Fault
from tests.notebook.chat.page import Page

Opened = Callable[..., Page]
MILLIONTH = Decimal("1e-6")


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every token cost a millionth of a dollar: the fake API's address is none of Mistral's, whose prices are known."""

    def price(self: Session, model: str, usage: TokenUsage, **_: Any) -> Decimal:
        return usage.total_tokens * MILLIONTH

    monkeypatch.setattr(Session, "cost_usd", price)


@pytest.mark.usefixtures("priced")
class TestBudget:
    def test_the_cost_is_the_sum_of_all_answers(self, api: FakeApi, opened: Opened) -> None:
        panel = opened().panel
        turns = [panel.ask("One?"), panel.ask("Two?")]

        assert (
            panel.cost_usd == sum(turn.completion.usage.total_tokens for turn in turns if turn.completion) * MILLIONTH
        )

    def test_what_was_dropped_stays_counted(self, api: FakeApi, opened: Opened) -> None:
        panel = opened().panel
        cost = panel.ask("One?").cost_usd
        panel.clear()

        assert panel.cost_usd == cost

    def test_a_request_that_might_cost_more_than_is_left_is_not_sent(self, api: FakeApi, opened: Opened) -> None:
        page = opened(budget_usd=0.001, max_tokens=2_000)
        page.asks("Hello")
        turn = page.ended(1)

        assert (turn["error"]["kind"], api.requests) == ("BudgetReached", [])
        assert "panel.budget_usd" in turn["error"]["remedy"]

    def test_a_larger_budget_lets_it_go_on(self, api: FakeApi, opened: Opened) -> None:
        page = opened(budget_usd=0.001, max_tokens=2_000)
        page.asks("Hello")
        page.ended(1)
        page.panel.budget_usd = 1
        page.says("retry", turn=1, model=None)

        assert page.ended(2)["state"] == "done"
        assert page.facts["budget"] == "$1.00"

    def test_an_answer_within_a_budget_has_a_length(self, api: FakeApi, opened: Opened) -> None:
        opened(budget_usd=1).panel.ask("Hello")

        assert api.requests[0].body["max_tokens"] == 4_096

    def test_a_stopped_answer_is_paid_for(self, api: FakeApi, opened: Opened) -> None:
        api.play(Fault(content="some words " * 2_000, bytes_per_second=20_000))
        page = opened(budget_usd=1)
        page.asks("Hello")
        page.until(lambda: page.text(1))
        page.says("stop", turn=1)
        page.ended(1)

        assert page.panel.cost_usd is not None
        assert page.panel.cost_usd > 0

    def test_the_page_hears_what_it_cost(self, api: FakeApi, opened: Opened) -> None:
        page = opened(budget_usd=1)
        page.asks("Hello")
        page.until(lambda: page.facts["cost"] != "$0")

        assert page.facts["cost"].startswith("$0.0000")


def test_a_budget_without_a_price_is_refused(api: FakeApi, opened: Opened) -> None:
    with pytest.raises(errors.UnknownPrice):
        opened(budget_usd=1)


def test_an_unknown_price_is_not_counted_as_nothing(api: FakeApi, opened: Opened) -> None:
    panel = opened().panel
    panel.ask("Hello")

    assert panel.cost_usd is None


@pytest.mark.parametrize("budget", [0, -1, "much", True, float("nan")])
def test_a_budget_is_a_number_of_dollars(api: FakeApi, opened: Opened, budget: Any) -> None:
    with pytest.raises(errors.InvalidOption, match="budget_usd"):
        opened(budget_usd=budget)
