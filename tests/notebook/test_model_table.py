"""mistral_nb.models(): the live list joined with the catalogue, and the catalogue where there is no list."""

from collections.abc import Iterator

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.errors import CannotConnect, InvalidKey
from mistral_nb.settings import REGIONS
from tests.fake_api import KNOWN_MODELS, FakeApi, KnownModel

KEY = "abcdefghijklmnopqrstuvwxyz012345"
NOWHERE = "http://127.0.0.1:9"


def table() -> pd.DataFrame:
    return mistral_nb.models().set_index("model")


@pytest.fixture
def mistrals(impatient: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """Serve the fake API as if it were Mistral's own address."""
    old = KnownModel(names=("codestral-2501",), serves=frozenset({"chat"}), context_window=1000)
    ending = KnownModel(
        names=("old-1",),
        serves=frozenset({"chat"}),
        context_window=1000,
        deprecation="2026-12-01T00:00:00Z",
        replacement="new-1",
    )
    with FakeApi(models=(*KNOWN_MODELS, old, ending)) as fake:
        monkeypatch.setitem(REGIONS, "global", fake.url)
        mistral_nb.configure(api_key=fake.api_key)
        yield fake


class TestLive:
    def test_each_model_is_listed_once_under_its_latest_name(self, mistrals: FakeApi) -> None:
        found = table()

        assert found.index.is_unique
        assert found.loc["mistral-small-latest", "aliases"] == "mistral-small-2603"

    def test_what_the_endpoint_says_is_joined_with_the_catalogues_prices(self, mistrals: FakeApi) -> None:
        small = table().loc["mistral-small-latest"]

        assert (small["does"], small["context_tokens"]) == ("chat, tools, reasoning", 262_144)
        assert small["listed_by"] == mistrals.url
        assert [small[f"{name}_usd_per_million_tokens"] for name in ("input", "cached_input", "output")] == [
            0.15,
            0.015,
            0.6,
        ]

    def test_a_regions_prices_have_its_factor(self, mistrals: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(REGIONS, "eu", mistrals.url)
        mistral_nb.configure(region="eu")

        assert table().loc["mistral-small-latest", "input_usd_per_million_tokens"] == 0.165

    def test_the_end_of_a_model_and_its_replacement_are_the_endpoints(self, mistrals: FakeApi) -> None:
        old = table().loc["old-1"]

        assert (old["retirement_date"], old["replacement"], old["note"]) == (
            pd.Timestamp("2026-12-01"),
            "new-1",
            "deprecated",
        )

    def test_they_are_the_catalogues_where_the_endpoint_says_nothing(self, mistrals: FakeApi) -> None:
        old = table().loc["codestral-2501"]

        assert (old["replacement"], old["note"]) == ("codestral-2508", "retired")

    def test_the_embedded_models_come_last_and_cost_nothing(self, mistrals: FakeApi) -> None:
        found = table()

        assert found.index[-4:].str.startswith("local-").all()
        assert (found["output_usd_per_million_tokens"].iloc[-4:] == 0).all()

    def test_a_default_model_of_this_machine_does_not_hide_the_hosted_ones(self, mistrals: FakeApi) -> None:
        mistral_nb.configure(model="local-tiny")

        assert "mistral-small-latest" in table().index

    def test_prices_of_other_peoples_servers_are_not_guessed(self, api: FakeApi) -> None:
        assert pd.isna(table().loc["mistral-small-latest", "input_usd_per_million_tokens"])

    def test_a_refused_key_is_an_error(self, mistrals: FakeApi) -> None:
        mistral_nb.configure(api_key=KEY)

        with pytest.raises(InvalidKey):
            mistral_nb.models()


class TestCatalogue:
    def test_without_a_key_the_hosted_ones_are_the_catalogues(self) -> None:
        small = table().loc["mistral-small-latest"]

        assert (small["listed_by"], small["note"]) == ("catalogue of 2026-08-21", "needs a key")

    def test_without_a_network_it_is_said_that_they_are(self, impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(REGIONS, "global", NOWHERE)
        mistral_nb.configure(api_key=KEY)
        with pytest.warns(UserWarning, match=r"(?s)No connection to http://127.0.0.1:9.*catalogue's of 2026") as caught:
            found = table()

        assert found.loc["mistral-small-latest", "note"] == "whether this key may use it is not known"
        assert caught[0].filename == __file__

    def test_of_another_server_that_is_not_reached_nothing_is_known(self, impatient: None) -> None:
        mistral_nb.configure(endpoint=NOWHERE)

        with pytest.raises(CannotConnect):
            mistral_nb.models()

    def test_retired_models_are_not_offered(self) -> None:
        assert "codestral-2501" not in table().index
