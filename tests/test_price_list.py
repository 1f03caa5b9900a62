"""What tokens cost: published prices, a contract's, and the bill of each recorded response against a calculation by hand."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.backends.answers import usage_from
from mistral_nb.catalogue import load_catalogue
from mistral_nb.completion import TokenUsage
from mistral_nb.price_list import cost_usd
from tests.fake_api import FakeApi, Fault
from tests.test_wire import CHAT, EMBEDDINGS, WIRE, Recording, recordings

AGREED = {"input_usd_per_million_tokens": 0.10, "output_usd_per_million_tokens": 0.40}
MILLION_TOKENS = TokenUsage(prompt_tokens=1_000_000, completion_tokens=1_000_000)

# USD per million tokens read and written, copied by hand from Mistral's published catalogue of 2026-08-21 for the models that the
# recordings name; None where that has no price.
BY_HAND: dict[str, tuple[str, str] | None] = {
    "llama-3.2-90b-vision-preview": None,
    "magistral-medium-2507": ("2", "5"),
    "magistral-medium-latest": ("2", "5"),
    "magistral-small-latest": ("0.5", "1.5"),
    "ministral-14b-latest": ("0.2", "0.2"),
    "mistral-embed": ("0.1", "0"),
    "mistral-large-latest": ("0.5", "1.5"),
    "mistral-small-2402": None,
    "mistral-small-latest": ("0.15", "0.6"),
    "pixtral-12b-2409": ("0.15", "0.15"),
    "voxtral-small-latest": None,
    "zai-glm-5-2": None,
}


class TestFactors:
    @pytest.mark.parametrize(
        ("options", "factor"),
        [
            ({}, "1"),
            ({"region": "eu"}, "1.1"),
            ({"is_batch": True}, "0.5"),
            ({"region": "us", "is_batch": True}, "0.55"),
        ],
        ids=["plain", "eu", "batch", "batch in us"],
    )
    def test_each_multiplies_the_price(self, options: dict[str, Any], factor: str) -> None:
        assert cost_usd("small", MILLION_TOKENS, **options) == Decimal("0.75") * Decimal(factor)

    def test_the_part_from_the_apis_cache_costs_a_tenth(self) -> None:
        usage = TokenUsage(prompt_tokens=1_000_000, cached_tokens=400_000)

        assert cost_usd("small", usage) == Decimal("0.15") * (Decimal("0.6") + Decimal("0.04"))

    def test_the_priority_tier_is_read_from_the_response(self, priced: FakeApi) -> None:
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        for tier in ("standard", "priority"):
            message = {"role": "assistant", "content": "Hi"}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            body = {"id": "1", "model": "m", "choices": [choice], "usage": {**usage, "service_tier": tier}}
            priced.play(Fault(status=200, body=body))
            mistral_nb.session().complete("Hello")
        plain, priority = (record.cost_usd for record in mistral_nb.session().ledger.records())

        assert plain is not None
        assert priority == plain * Decimal("1.75")


class TestContract:
    def test_it_holds_for_every_name_of_the_model(self) -> None:
        mistral_nb.prices(update={"small": AGREED})

        costs = {cost_usd(name, MILLION_TOKENS) for name in ("small", "mistral-small-latest", "mistral-small-2603")}
        assert costs == {Decimal("0.50")}

    def test_cached_input_is_a_tenth_unless_it_is_given(self) -> None:
        usage = TokenUsage(prompt_tokens=1_000_000, cached_tokens=1_000_000)
        mistral_nb.prices(update={"small": AGREED})
        tenth = cost_usd("small", usage)
        mistral_nb.prices(update={"small": {**AGREED, "cached_input_usd_per_million_tokens": 0.07}})

        assert (tenth, cost_usd("small", usage)) == (Decimal("0.010"), Decimal("0.07"))

    def test_none_brings_the_published_price_back(self) -> None:
        mistral_nb.prices(update={"small": AGREED})
        mistral_nb.prices(update={"small": None})

        assert cost_usd("small", MILLION_TOKENS) == Decimal("0.75")

    def test_it_gives_a_price_to_a_model_of_another_endpoint(self, api: FakeApi) -> None:
        unknown = mistral_nb.session().cost_usd("small", MILLION_TOKENS)
        mistral_nb.prices(update={"small": AGREED})

        assert (unknown, mistral_nb.session().cost_usd("small", MILLION_TOKENS)) == (None, Decimal("0.50"))

    def test_the_table_tells_whose_price_it_is(self) -> None:
        table = mistral_nb.prices(update={"small": AGREED, "our-own": AGREED})

        assert table.loc[["mistral-small-2603", "our-own", "mistral-large-2512"], "is_contract"].tolist() == [
            True,
            True,
            False,
        ]
        assert table.loc["mistral-large-2512", "checked"] == load_catalogue().checked

    def test_an_unknown_price_is_missing_in_the_table(self) -> None:
        assert mistral_nb.prices().loc["mistral-large-4-0"].isna()["input_usd_per_million_tokens"]

    def test_what_is_no_mapping_is_shown(self) -> None:
        given: Any = "small"
        with pytest.raises(errors.InvalidOption, match="update is 'small'"):
            mistral_nb.prices(update=given)

    @pytest.mark.parametrize(
        "given",
        [
            0.1,
            {"input_usd_per_million_tokens": 0.1},
            {**AGREED, "output_usd_per_million_tokens": -1},
            {**AGREED, "output_usd_per_million_tokens": "cheap"},
            {**AGREED, "output": 1},
        ],
        ids=["number", "no output", "negative", "text", "unknown"],
    )
    def test_what_is_no_price_is_named_and_nothing_changes(self, given: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="'small'"):
            mistral_nb.prices(update={"large": AGREED, "small": given})

        assert cost_usd("large", MILLION_TOKENS) == Decimal(2)


def billed(recording: Recording) -> tuple[str, dict[str, Any]] | None:
    """Return the model and the usage that a recorded response names; None where it names none."""
    texts = [recording.body.decode("utf-8", "replace")]
    if recording.is_stream:
        texts = [line.removeprefix("data: ") for line in texts[0].splitlines() if line.startswith("data: {")][::-1]
    for text in texts:
        try:
            data = json.loads(text)
        except ValueError:
            continue
        if isinstance(data, dict) and isinstance(data.get("usage"), dict) and data.get("model"):
            return data["model"], data["usage"]
    return None


@pytest.mark.skipif(not WIRE.is_dir(), reason="the recordings (../shared/wire) are not here")
def test_the_bill_of_each_recorded_response_is_the_one_worked_out_by_hand() -> None:
    checked = 0
    for recording in recordings():
        if recording.endpoint not in (CHAT, EMBEDDINGS) or (found := billed(recording)) is None:
            continue
        model, usage = found
        details = usage.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens", usage.get("num_cached_tokens") or 0)
        price = BY_HAND[model]
        cost = cost_usd(model, usage_from(usage))
        if price is None:
            assert cost is None, str(recording)
            continue
        read, written = map(Fraction, price)
        assert usage.get("service_tier") in (None, "standard"), str(recording)
        by_hand = (
            read * (usage["prompt_tokens"] - cached)
            + read / 10 * cached
            + written * (usage.get("completion_tokens") or 0)
        ) / 10**6
        assert cost is not None, str(recording)
        assert abs(Fraction(cost) - by_hand) < Fraction(1, 10**9), str(recording)
        checked += 1

    assert checked >= 50
