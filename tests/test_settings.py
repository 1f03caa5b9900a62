import pickle
from decimal import Decimal
from pathlib import Path

import pytest

import mistral_nb
from mistral_nb.api_key import SecretKey
from mistral_nb.completion import TokenUsage
from mistral_nb.engine.session import Session
from mistral_nb.errors import InvalidOption
from mistral_nb.settings import current_settings

KEY = "abcdefghijklmnopqrstuvwxyz012345"


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_NB_MODEL", "mistral-large-latest")
    mistral_nb.configure(model="mistral-small-latest")

    assert current_settings().default_model == "mistral-small-latest"


def test_the_environment_wins_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_NB_REGION", "eu")

    assert current_settings().server_url == "https://api.eu.mistral.ai"


def test_an_argument_stays_until_it_is_given_again() -> None:
    mistral_nb.configure(region="us")
    mistral_nb.configure(model="small")

    assert current_settings().region == "us"


def test_an_empty_argument_forgets_what_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_NB_MODEL", "mistral-large-latest")
    mistral_nb.configure(model="mistral-small-latest")
    mistral_nb.configure(model="")

    assert current_settings().default_model == "mistral-large-latest"


def test_a_refused_argument_changes_nothing() -> None:
    with pytest.raises(InvalidOption):
        mistral_nb.configure(region="mars", model="large")

    assert current_settings().model is None


def test_home_holds_cache_and_weights_where_the_environment_says(tmp_path: Path) -> None:
    assert current_settings().home == tmp_path / "home"


def test_without_an_own_home_the_users_data_folder_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MISTRAL_NB_HOME")

    assert current_settings().home.name == "mistral_nb"


@pytest.mark.parametrize(
    ("given", "answered_by", "model"),
    [
        ({}, "embedded", "local-small"),
        ({"api_key": KEY}, "hosted", "mistral-small-latest"),
        ({"endpoint": "http://localhost:8000"}, "hosted", "mistral-small-latest"),
        ({"api_key": KEY, "model": "local-tiny"}, "embedded", "local-tiny"),
        ({"model": "mistral-large-latest"}, "hosted", "mistral-large-latest"),
    ],
    ids=["nothing", "key", "endpoint", "local model despite a key", "hosted model without a key"],
)
def test_who_answers_follows_from_what_is_set(given: dict[str, str], answered_by: str, model: str) -> None:
    settings = mistral_nb.configure(**given)  # type: ignore[arg-type]

    assert (settings.answered_by, settings.default_model) == (answered_by, model)


def test_a_model_file_that_is_named_answers_even_with_a_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.touch()
    settings = mistral_nb.configure(api_key=KEY, model_path=file)

    assert (settings.answered_by, settings.default_model) == ("embedded", str(file))


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "no key found"),
        ({"api_key": KEY}, "key given to configure()"),
        ({"model": "large"}, "configure(model=…) was called"),
    ],
)
def test_the_reason_is_said_in_words(given: dict[str, str], reason: str) -> None:
    assert mistral_nb.configure(**given).reason == reason  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["https://h:1", "https://h:1/", "https://h:1/v1", "https://h:1/v1/"])
def test_an_endpoint_is_taken_with_or_without_its_version_part(address: str) -> None:
    assert mistral_nb.configure(endpoint=address).server_url == "https://h:1"


@pytest.mark.parametrize(
    "address",
    ["http://10.0.0.5:8000", "http://llm.company.example", "http://127.0.0.1.example", "http://[fe80::1]:8000"],
)
def test_an_endpoint_elsewhere_has_to_be_encrypted(address: str) -> None:
    with pytest.raises(InvalidOption, match="not encrypted") as caught:
        mistral_nb.configure(endpoint=address)

    assert f'endpoint="{address}", allow_http=True' in caught.value.remedy


@pytest.mark.parametrize(
    "address",
    ["http://localhost:8000", "http://llm.localhost", "http://127.0.0.1:1", "http://127.8.8.8", "http://[::1]:1"],
)
def test_this_machines_own_endpoint_need_not_be_encrypted(address: str) -> None:
    assert mistral_nb.configure(endpoint=address).server_url == address


def test_an_unencrypted_endpoint_may_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_NB_ALLOW_HTTP", "yes")

    assert mistral_nb.configure(endpoint="http://10.0.0.5:8000").server_url == "http://10.0.0.5:8000"


def test_a_yes_or_no_that_is_neither_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_NB_ALLOW_HTTP", "perhaps")

    with pytest.raises(InvalidOption, match="allow_http is 'perhaps'"):
        current_settings()


@pytest.mark.parametrize(("region", "factor"), [("global", "1"), ("eu", "1.1"), ("us", "1.1")])
def test_a_region_has_its_price_factor(region: str, factor: str) -> None:
    settings = mistral_nb.configure(region=region, api_key=KEY)
    usage = TokenUsage(prompt_tokens=1_000_000)

    assert Session(settings).cost_usd("mistral-small-latest", usage) == Decimal("0.15") * Decimal(factor)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"region": "asia"}, "No region 'asia'"),
        ({"endpoint": "localhost:8000"}, "'localhost:8000' is no http"),
        ({"model_path": "/nowhere/x.gguf"}, "No GGUF file at '/nowhere/x.gguf'"),
    ],
)
def test_a_wrong_value_is_shown_with_what_would_be_right(given: dict[str, str], problem: str) -> None:
    with pytest.raises(InvalidOption, match=problem):
        mistral_nb.configure(**given)  # type: ignore[arg-type]


def test_a_model_file_may_be_named_from_where_the_reader_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert mistral_nb.configure(model="mine.gguf").default_model == str(tmp_path / "mine.gguf")


def test_a_model_that_is_no_name_is_refused() -> None:
    with pytest.raises(InvalidOption, match="model is 3"):
        mistral_nb.configure(model=3)  # type: ignore[arg-type]


def test_a_refused_setting_shows_the_key_in_no_variable_of_its_traceback() -> None:
    import traceback

    with pytest.raises(InvalidOption) as caught:
        mistral_nb.configure(api_key=KEY, region="mars")
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "settings.py" in frame.filename and "tests" not in frame.filename]

    assert KEY not in str([frame.locals for frame in ours])


class TestKey:
    def test_white_space_around_a_key_is_dropped(self) -> None:
        assert SecretKey(f" {KEY}\n").reveal() == KEY

    def test_a_key_shows_its_last_four_characters_at_most(self) -> None:
        assert repr(SecretKey(KEY)) == "SecretKey('…2345')"

    def test_a_short_key_shows_nothing(self) -> None:
        assert repr(SecretKey("abcdef")) == "SecretKey('…')"

    def test_settings_do_not_show_the_key(self) -> None:
        assert KEY not in repr(mistral_nb.configure(api_key=KEY))

    def test_a_key_is_not_pickled(self) -> None:
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(SecretKey(KEY))

    def test_equal_keys_are_equal(self) -> None:
        assert {SecretKey(KEY), SecretKey(KEY)} == {SecretKey(KEY)}
