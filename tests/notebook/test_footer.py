from decimal import Decimal

import pytest

from mistral_nb.completion import Completion, TokenUsage
from mistral_nb.notebook.conversations import SentTurns
from mistral_nb.notebook.footer import Bill, cost_text, footer_text, metadata, why_incomplete

ANSWER = Completion(
    text="Hello",
    model="mistral-small-latest",
    usage=TokenUsage(prompt_tokens=1200, completion_tokens=30, cached_tokens=1000),
    latency_seconds=2.34,
    first_token_seconds=0.41,
)


def test_the_footer_has_model_tokens_cost_seconds_and_reason() -> None:
    assert footer_text(ANSWER, Bill(cost_usd=Decimal("0.000063"))) == (
        "mistral-small-latest · 1,200 tokens read (1,000 cached), 30 written · $0.000063 · first token after 0.4 s, 2.3 s · stop"
    )


def test_estimated_tokens_are_called_so() -> None:
    assert "about 1,200 tokens read" in footer_text(ANSWER, Bill(cost_usd=None, is_estimated=True))


def test_the_turns_that_were_sent_are_said() -> None:
    turns = SentTurns(name="review", sent=3, left_out=2)

    assert footer_text(ANSWER, Bill(cost_usd=None), turns=turns).startswith(
        "session review: 3 earlier turns sent, 2 older left out (too long for the model's window) · "
    )


@pytest.mark.parametrize(
    ("cost", "text"),
    [
        (None, "unknown price"),
        (Decimal(0), "$0"),
        (Decimal("0.000000123"), "$0.00000012"),
        (Decimal("0.0123456"), "$0.0123"),
        (Decimal("1.005"), "$1.01"),
        (Decimal(1234), "$1,234.00"),
    ],
)
def test_costs_are_readable(cost: Decimal | None, text: str) -> None:
    assert cost_text(cost) == text


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("stop", ""),
        ("length", "Cut at 30 tokens; raise --max-tokens for more."),
        ("model_length", "the model's window is full"),
        ("content_filter", "Refused or broken off"),
        ("interrupted", "Stopped before the end."),
    ],
)
def test_an_answer_that_is_not_whole_says_why(reason: str, said: str) -> None:
    answer = Completion(text="Hello", model="m", finish_reason=reason, usage=ANSWER.usage)

    assert said in why_incomplete(answer)
    assert bool(said) == bool(why_incomplete(answer))


def test_an_empty_answer_says_so() -> None:
    assert why_incomplete(Completion(text=" ", model="m")) == "m gave an empty answer."


def test_the_metadata_has_exact_money_and_whole_facts() -> None:
    facts = metadata(ANSWER, Bill(cost_usd=Decimal("0.000063")), turns=SentTurns(name="a", sent=1, left_out=0))

    assert facts["mistral_nb"] == {
        "model": "mistral-small-latest",
        "prompt_tokens": 1200,
        "cached_tokens": 1000,
        "completion_tokens": 30,
        "are_tokens_estimated": False,
        "cost_usd": "0.000063",
        "requests": 1,
        "first_token_seconds": 0.41,
        "seconds": 2.34,
        "finish_reason": "stop",
        "correlation_id": None,
        "session": "a",
        "turns_sent": 1,
        "turns_left_out": 0,
    }
