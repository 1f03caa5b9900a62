"""What a receipt says: in text and in HTML, of what is known and of what is not."""

import datetime
from decimal import Decimal
from typing import Any

import pytest

from mistral_nb.completion import TokenUsage
from mistral_nb.engine.receipt import Receipt
from mistral_nb.price_list import cost_usd


def receipt(**changes: Any) -> Receipt:
    figures: dict[str, Any] = {
        "verb": "classify",
        "model": "mistral-small-latest",
        "rows": 1000,
        "missing": 12,
        "unique": 950,
        "cached": 100,
        "requests": 43,
        "rows_per_request": 20,
        "prompt_tokens": 123_456,
        "completion_tokens_expected": 8_500,
        "completion_tokens_most": 43_000,
        "are_tokens_exact": True,
        "cost_usd_expected": Decimal("0.02361"),
        "cost_usd_most": Decimal("0.04431"),
        "batch_cost_usd_expected": Decimal("0.011805"),
        "batch_cost_usd_most": Decimal("0.022155"),
        "seconds": 154.2,
        "requests_per_minute": 50,
        "tokens_per_minute": 50_000,
        "price_checked": datetime.date(2026, 8, 21),
        "price_source": "the price list",
    }
    return Receipt(**{**figures, **changes})


def test_the_text_has_every_figure() -> None:
    assert str(receipt()).splitlines() == [
        "Receipt for classify with mistral-small-latest: nothing was sent.",
        "  rows            1,000: 950 distinct texts, 100 of them answered before and kept, 12 without text",
        "  requests        43, up to 20 rows in each",
        "  tokens          123,456 to read (counted with Mistral's tokenizer), about 8,500 to write, at most 43,000",
        "  price           $0.0236, at most $0.0444 (prices of 2026-08-21)",
        "  as a batch job  $0.0118, at most $0.0222",
        "  prices from     the price list",
        "  time            at least 2 min 34 s under 50 requests and 50,000 tokens a minute",
        "  run it          the same call with budget_usd=0.05 instead of dry_run=True",
    ]


def test_a_notebook_without_html_shows_the_text() -> None:
    assert repr(receipt()) == str(receipt())


def test_html_and_text_say_the_same() -> None:
    shown = receipt(are_tokens_exact=False)

    html = shown._repr_html_()

    said = [shown.rows_text, shown.requests_text, shown.tokens_text, shown.price_text, shown.time_text, shown.run_text]
    assert [text for text in said if text.replace("'", "&#x27;") not in html] == []


def test_html_is_escaped() -> None:
    html = receipt(model="<img src=x onerror=alert(1)>", price_source="<script>", cost_usd_expected=None)._repr_html_()

    assert "<img" not in html
    assert "<script" not in html


def test_html_has_no_colours_of_its_own_and_dollars_stay_dollars() -> None:
    html = receipt()._repr_html_()

    assert "color" not in html
    assert "background" not in html
    assert "mathjax_ignore" in html


@pytest.mark.parametrize("render", [str, Receipt._repr_html_])
def test_an_estimate_is_called_one(render: Any) -> None:
    shown = render(receipt(are_tokens_exact=False))

    assert "about 123,456 to read (estimated)" in shown
    assert "tokenizer" not in shown


@pytest.mark.parametrize("render", [str, Receipt._repr_html_])
def test_an_unknown_price_is_said(render: Any) -> None:
    unknown = receipt(
        model="mistral-large-4-0",
        cost_usd_expected=None,
        cost_usd_most=None,
        batch_cost_usd_expected=None,
        batch_cost_usd_most=None,
        price_checked=None,
        price_source=None,
    )

    shown = render(unknown)

    assert "unknown price of mistral-large-4-0" in shown
    assert "budget_usd" not in shown
    assert "batch" not in shown


@pytest.mark.parametrize("render", [str, Receipt._repr_html_])
def test_unknown_limits_are_said(render: Any) -> None:
    unknown = receipt(seconds=None, requests_per_minute=None, tokens_per_minute=None)

    assert "no limits known yet: the first answer tells them" in render(unknown)


def test_an_embedded_model_costs_nothing_and_has_no_limits() -> None:
    zero = Decimal(0)

    shown = receipt(
        model="local-small", cost_usd_expected=zero, cost_usd_most=zero, batch_cost_usd_expected=None, seconds=None
    )

    assert shown.price_text == "$0 (runs on this machine)"
    assert shown.time_text == "no limits on this machine"
    assert shown.run_text == "the same call without dry_run=True"
    assert "prices" not in str(shown)


def test_a_model_that_mistral_gives_away_costs_0() -> None:
    assert receipt(cost_usd_expected=Decimal(0), cost_usd_most=Decimal(0)).price_text == "$0"


def test_where_everything_is_kept_nothing_is_to_be_sent() -> None:
    shown = receipt(cached=950, requests=0, prompt_tokens=0, cost_usd_expected=None)

    assert str(shown).splitlines()[2:] == [
        "  requests  0: every answer is kept already",
        "  price     $0",
        "  run it    the same call without dry_run=True",
    ]


def test_a_column_without_text_is_called_so() -> None:
    assert receipt(unique=0, cached=0, requests=0).requests_text == "0: there is no text"


def test_one_is_singular() -> None:
    shown = receipt(
        rows=1,
        unique=1,
        missing=0,
        cached=0,
        requests=1,
        rows_per_request=1,
        requests_per_minute=1,
        tokens_per_minute=None,
    )

    assert shown.rows_text == "1: 1 distinct text"
    assert shown.requests_text == "1"
    assert shown.time_text == "at least 2 min 34 s under 1 request a minute"


def test_limits_set_without_numbers_leave_the_time_alone() -> None:
    assert receipt(requests_per_minute=None, tokens_per_minute=None).time_text == "at least 2 min 34 s"


def test_a_length_that_is_certain_is_said_once() -> None:
    shown = receipt(completion_tokens_expected=10, completion_tokens_most=10, cost_usd_most=Decimal("0.02361"))

    assert shown.tokens_text.endswith("about 10 to write")
    assert shown.price_text == "$0.0236 (prices of 2026-08-21)"


@pytest.mark.parametrize(
    ("usd", "text"),
    [("0.00001", "under $0.0001"), ("0.00031", "$0.0004"), ("0.5", "$0.5000"), ("1234.561", "$1,234.57")],
)
def test_money_is_readable_whatever_its_size(usd: str, text: str) -> None:
    most = receipt(cost_usd_expected=Decimal(0), cost_usd_most=Decimal(usd)).price_text

    assert most.removeprefix("$0, at most ").startswith(f"{text} (")


@pytest.mark.parametrize(
    ("most", "budget"),
    [("0.00001", "0.01"), ("0.0443", "0.05"), ("0.96", "1.1"), ("9.6", "11"), ("123.4", "130"), ("1234", "1300")],
)
def test_the_budget_is_a_round_figure_a_little_above_the_most(most: str, budget: str) -> None:
    assert str(receipt(cost_usd_most=Decimal(most)).budget_usd) == budget


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "no waiting"), (1.2, "1 s"), (59.7, "1 min"), (61, "1 min 1 s"), (3599.6, "1 h"), (7290, "2 h 2 min")],
)
def test_time_is_in_units_that_one_can_judge(seconds: float, text: str) -> None:
    shown = receipt(seconds=seconds).time_text

    assert shown.removeprefix("at least ").startswith(f"{text} under")


@pytest.mark.parametrize("region", ["global", "eu"])
def test_a_batch_job_costs_half(region: str) -> None:
    usage = TokenUsage(prompt_tokens=123, completion_tokens=45)
    now = cost_usd("mistral-small-latest", usage, region=region)

    assert now is not None
    assert cost_usd("mistral-small-latest", usage, region=region, is_batch=True) == now / 2


def test_a_batch_job_of_an_unknown_price_has_an_unknown_price() -> None:
    assert cost_usd("mistral-large-4-0", TokenUsage(prompt_tokens=5), is_batch=True) is None
