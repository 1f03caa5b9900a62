import csv
import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.catalogue import find_model, full_name, load_catalogue, nearest_names
from mistral_nb.completion import TokenUsage
from mistral_nb.price_list import cost_usd

PUBLISHED = Path(__file__).parents[2] / "shared" / "api" / "model_catalogue.csv"
MODELS = load_catalogue().models


def test_a_completion_is_priced_exactly() -> None:
    usage = TokenUsage(prompt_tokens=1_000_000, completion_tokens=100_000)

    assert cost_usd("mistral-small-latest", usage) == Decimal("0.15") + Decimal("0.06")


def test_cached_tokens_cost_a_tenth() -> None:
    usage = TokenUsage(prompt_tokens=1_000_000, cached_tokens=1_000_000)

    assert cost_usd("mistral-small-latest", usage) == Decimal("0.015")


def test_a_regional_endpoint_costs_a_tenth_more() -> None:
    usage = TokenUsage(prompt_tokens=1_000_000)

    assert cost_usd("mistral-small-latest", usage, region="eu") == Decimal("0.165")


def test_an_unknown_price_is_unknown() -> None:
    assert cost_usd("mistral-large-4-0", TokenUsage(prompt_tokens=5)) is None


def test_an_unknown_model_has_an_unknown_price() -> None:
    assert cost_usd("gpt-9", TokenUsage(prompt_tokens=5)) is None


def test_the_moderation_model_is_free() -> None:
    assert cost_usd("moderation", TokenUsage(prompt_tokens=5)) == 0


@given(parts=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=5))
def test_the_sum_of_costs_is_the_cost_of_the_sum(parts: list[tuple[int, int]]) -> None:
    usages = [TokenUsage(prompt_tokens=prompt, completion_tokens=completion) for prompt, completion in parts]
    costs = [cost_usd("mistral-medium-latest", usage) for usage in usages]

    assert sum(cost for cost in costs if cost is not None) == cost_usd(
        "mistral-medium-latest", sum(usages, start=TokenUsage())
    )


@pytest.mark.parametrize("short", load_catalogue().short_names)
def test_every_short_name_means_a_model_that_is_available(short: str) -> None:
    model = find_model(short)

    assert model is not None
    assert model.status == "available"


def test_a_full_name_stays_as_it_is() -> None:
    assert full_name("some-model-of-tomorrow") == "some-model-of-tomorrow"


def test_no_name_means_two_models() -> None:
    names = [name for model in MODELS for name in (model.name, *model.aliases)]

    assert len(names) == len(set(names))


def test_every_replacement_is_in_the_catalogue() -> None:
    assert [model.name for model in MODELS if model.replacement and find_model(model.replacement) is None] == []


def test_a_typing_error_is_answered_with_the_nearest_name() -> None:
    assert nearest_names("mistral-smal-latest")[0] == "mistral-small-latest"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="the published catalogue (../shared) is not at hand")
@pytest.mark.parametrize("typed", ["mistral-large-241", "labs-leanstral"])
def test_no_model_at_its_end_is_proposed(typed: str) -> None:
    proposed = [find_model(name) for name in nearest_names(typed)]

    assert not any(model.has_ended() for model in proposed if model)


def test_a_model_has_ended_on_the_day_that_was_set_for_it() -> None:
    model = find_model("labs-leanstral-1-5")
    assert model is not None

    assert [model.has_ended(datetime.date(2026, 9, day)) for day in (29, 30)] == [False, True]


def test_prices_are_those_published() -> None:
    with PUBLISHED.open(encoding="utf-8") as file:
        published = {
            name: (row["input_usd_per_million"], row["output_usd_per_million"])
            for row in csv.DictReader(file)
            if row["price_unit"] == "/M Tokens"
            for name in row["api_names"].split()
        }
    ours = {
        name: (model.input_usd_per_million_tokens, model.output_usd_per_million_tokens)
        for model in MODELS
        for name in (model.name, *model.aliases)
    }
    differing = {
        name: (ours[name], prices)
        for name, prices in published.items()
        if name in ours and any(price and Decimal(price) != ours[name][side] for side, price in enumerate(prices))
    }

    assert differing == {}
