"""What a verb would cost with each model, per 1,000 rows of the user's own column."""

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.errors import InvalidOption
from tests.fake_api import FakeApi

pytestmark = pytest.mark.usefixtures("library")

LABELS = ["billing", "delivery"]


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"text": [f"I was charged twice for parcel {number}." for number in range(50)]})


def test_the_price_of_a_model_is_that_of_its_receipt(frame: pd.DataFrame) -> None:
    prices = frame.mistral.compare_prices("text", task="classify", arguments={"labels": LABELS})
    receipt = frame.mistral.classify("text", LABELS, model="small", dry_run=True, cache=False)

    assert receipt.cost_usd_expected is not None
    expected = float(receipt.cost_usd_expected) / 50 * 1000
    assert prices.loc["mistral-small-latest", "usd_per_1000_rows"] == pytest.approx(expected)
    assert prices.loc["mistral-small-latest", "usd_for_column"] == pytest.approx(expected / 20)


def test_the_cheapest_model_comes_first_and_unknown_prices_last(frame: pd.DataFrame) -> None:
    prices = frame.mistral.compare_prices("text", task="classify")["usd_per_1000_rows"]

    assert prices.is_monotonic_increasing or prices.dropna().is_monotonic_increasing
    assert pd.isna(prices["mistral-large-4-0"])
    assert prices.index[-1] == "mistral-large-4-0"


def test_a_model_at_its_end_is_not_compared(frame: pd.DataFrame) -> None:
    assert "labs-leanstral-1-5" not in frame.mistral.compare_prices("text").index


def test_a_longer_answer_costs_more(frame: pd.DataFrame) -> None:
    label = frame.mistral.compare_prices("text", task="classify")
    summary = frame["text"].mistral.compare_prices("summarize")

    column = "completion_tokens_per_row"
    assert summary.loc["mistral-small-latest", column] > label.loc["mistral-small-latest", column]


def test_nothing_is_sent_and_other_peoples_prices_are_not_guessed(api: FakeApi, frame: pd.DataFrame) -> None:
    prices = frame.mistral.compare_prices("text", task="classify")

    assert api.requests == []
    assert prices["usd_per_1000_rows"].isna().all()


def test_a_long_column_is_sampled(frame: pd.DataFrame) -> None:
    long = pd.concat([frame] * 20, ignore_index=True)
    prices = long.mistral.compare_prices("text", task="classify")

    row = prices.loc["mistral-small-latest"]
    assert row["usd_for_column"] == pytest.approx(row["usd_per_1000_rows"])


@pytest.mark.parametrize(
    ("task", "problem"), [("clasify", "There is no verb 'clasify'"), ("embed", "There is no verb 'embed'")]
)
def test_a_verb_that_there_is_not_is_refused(frame: pd.DataFrame, task: str, problem: str) -> None:
    with pytest.raises(InvalidOption, match=problem):
        frame.mistral.compare_prices("text", task=task)


def test_a_missing_argument_is_named(frame: pd.DataFrame) -> None:
    with pytest.raises(InvalidOption, match="labels"):
        frame.mistral.compare_prices("text", task="classify", arguments={})


def test_an_empty_column_has_no_price() -> None:
    with pytest.raises(InvalidOption, match="no rows"):
        pd.Series([], dtype="str").mistral.compare_prices()


def test_a_regions_factor_is_in_the_price(frame: pd.DataFrame) -> None:
    usual = frame.mistral.compare_prices("text").loc["mistral-small-latest", "usd_per_1000_rows"]
    mistral_nb.configure(region="eu")

    regional = frame.mistral.compare_prices("text").loc["mistral-small-latest", "usd_per_1000_rows"]
    assert regional == pytest.approx(usual * 1.1)
