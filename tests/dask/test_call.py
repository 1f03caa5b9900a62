"""A call of a verb as it travels to another process: what goes along, what does not, and what is said there."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import dask.dataframe as dd
import pandas as pd
import pytest

import mistral_nb
from mistral_nb.dask.call import VerbCall
from mistral_nb.dask.sharing import _is_private
from mistral_nb.errors import InvalidOption, MissingKey, RowsFailed
from tests.fake_api import FakeApi

KEY = "Zq7Kx2Vb9Lm4Np6Rt8Ws1Yd3Fg5Hj0C"
LABELS = ["bill", "parcel"]


@pytest.fixture
def api(impatient: None) -> Any:
    with FakeApi(api_key=KEY) as fake:
        mistral_nb.configure(endpoint=fake.url, api_key=KEY)
        yield fake


def call_of(column: Any) -> VerbCall:
    """Return what of a lazy column travels."""
    return next(operand for operand in column.expr.operands if isinstance(operand, VerbCall))


@pytest.fixture
def elsewhere(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that calls a verb here and answers it as another process would, with a key in its environment."""

    def answered(*, key: str = KEY, **options: Any) -> Any:
        texts = pd.Series(["a bill", "a parcel"], name="text")
        travelled = pickle.loads(
            pickle.dumps(call_of(dd.from_pandas(texts, npartitions=1).mistral.classify(LABELS, **options)))
        )
        mistral_nb.configure(endpoint="", api_key="", model="")
        monkeypatch.setenv("MISTRAL_API_KEY", key)
        return replace(travelled, process="another")(texts)

    return answered


def test_the_key_does_not_travel(api: FakeApi) -> None:
    column = dd.from_pandas(pd.Series(["a bill"]), npartitions=1).mistral.classify(LABELS)

    assert KEY.encode() not in pickle.dumps(call_of(column))


def test_what_is_logged_of_a_call_holds_no_text_of_the_users(api: FakeApi) -> None:
    column = dd.from_pandas(pd.Series(["a bill"]), npartitions=1).mistral.classify(LABELS)

    assert repr(call_of(column)) == "<mistral_classify>"


def test_the_callers_settings_hold_elsewhere_with_the_key_that_is_there(
    api: FakeApi, elsewhere: Callable[..., Any]
) -> None:
    mistral_nb.configure(model="mistral-medium-latest")

    assert elsewhere().tolist() == ["bill", "parcel"]
    assert {seen.body["model"] for seen in api.requests if seen.body is not None} == {"mistral-medium-latest"}


def test_a_process_without_a_key_says_how_to_give_it_one(elsewhere: Callable[..., Any]) -> None:
    with pytest.raises(MissingKey, match=r"mistral_nb\.dask\.share_session\(client\)"):
        elsewhere(key="")


def test_processes_without_a_scheduler_refuse_a_budget(api: FakeApi, elsewhere: Callable[..., Any]) -> None:
    mistral_nb.prices(
        update={"mistral-small-latest": {"input_usd_per_million_tokens": 1, "output_usd_per_million_tokens": 1}}
    )

    with pytest.raises(InvalidOption, match=r"distributed\.Client\(\)"):
        elsewhere(budget_usd=1)


class TestProcessesOfDask:
    """Computed by the real ones, which start within seconds."""

    @pytest.fixture
    def lazy(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("MISTRAL_API_KEY", KEY)
        return dd.from_pandas(pd.Series(["a bill", "a parcel"], name="text"), npartitions=2)

    def test_they_give_what_the_verb_gives(self, lazy: Any) -> None:
        assert lazy.mistral.classify(LABELS).compute(scheduler="processes", num_workers=1).tolist() == LABELS

    def test_an_error_comes_back_as_it_is(self, lazy: Any) -> None:
        mistral_nb.prices(
            update={"mistral-small-latest": {"input_usd_per_million_tokens": 1, "output_usd_per_million_tokens": 1}}
        )
        bounded = lazy.mistral.classify(LABELS, budget_usd=1)

        with pytest.raises(InvalidOption, match=r"distributed\.Client\(\)"):
            bounded.compute(scheduler="processes", num_workers=1)


def test_an_error_with_failed_rows_comes_back_whole() -> None:
    error = RowsFailed("One failed.", "Ask again.", result=pd.Series([1]), failed=pd.DataFrame({"error": ["A"]}))

    back = pickle.loads(pickle.dumps(error))

    assert (str(back), back.result.tolist(), back.failed["error"].tolist()) == (str(error), [1], ["A"])


@pytest.mark.parametrize(
    ("address", "is_private"),
    [
        ("tls://10.0.0.1:8786", True),
        ("inproc://10.0.0.1/1/2", True),
        ("tcp://127.0.0.1:8786", True),
        ("tcp://[::1]:8786", True),
        ("tcp://10.0.0.1:8786", False),
        ("tcp://scheduler:8786", False),
        ("ws://10.0.0.1:8786", False),
    ],
)
def test_a_key_on_an_open_connection_is_warned_of(address: str, is_private: bool) -> None:
    assert _is_private(address) is is_private
