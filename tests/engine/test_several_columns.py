"""A task whose value is an object, asked through the same door as every verb."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.completion import Completion, CompletionRequest
from mistral_nb.errors import InvalidAnswer
from mistral_nb.notebook.row_verbs import answered
from mistral_nb.tasks.answer_text import answered_json
from mistral_nb.tasks.packing import PackedRows
from tests.engine.row_runs import pack_sizes
from tests.fake_api import FakeApi, Fault

SCHEMA = {
    "type": "object",
    "properties": {
        "weight": {"type": "number"},
        "fragile": {"type": "boolean"},
        "colours": {"type": "array", "items": {"type": "string", "enum": ["red", "blue"]}},
    },
    "required": ["weight", "fragile", "colours"],
    "additionalProperties": False,
}
TEXTS = ["weight: 2.5, fragile: yes, red", None, "weight: 7, fragile: no, red or blue"]
ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")


@dataclass(frozen=True)
class Parcel:
    """Reads what a text says of a parcel."""

    dtype: Any = None
    verb: ClassVar[str] = "parcel"
    version: ClassVar[int] = 1
    answer_tokens: ClassVar[int] = 20

    def request(self, text: str, *, model: str) -> CompletionRequest:
        form = {"type": "json_schema", "json_schema": {"name": "parcel", "strict": True, "schema": SCHEMA}}
        return CompletionRequest(
            model=model, messages=({"role": "user", "content": text},), max_tokens=100, response_format=form
        )

    def value(self, completion: Completion) -> Any:
        return _checked(answered_json(completion))

    def agrees(self, value: Any, other: Any) -> bool:
        return bool(value == other)

    @property
    def packing(self) -> PackedRows:
        return PackedRows(
            instructions="Parcels.",
            field="parcel",
            field_schema=SCHEMA,
            read=_checked,
            answer_tokens=20,
            longest_text_tokens=100,
        )


def _checked(value: Any) -> Any:
    if not isinstance(value, Mapping) or not isinstance(value.get("weight"), int | float):
        raise InvalidAnswer("That is no parcel.", "Ask again.")
    return value


PARCEL = Parcel({"weight": "Float64", "fragile": "boolean", "colours": object})


def parcels(rows: list[Any], **options: Any) -> Any:
    return answered(pd.Series(rows, dtype="object", index=range(10, 10 + len(rows))), PARCEL, **options)


@pytest.mark.usefixtures("api")
class TestTheFrame:
    def test_each_name_is_a_column_of_its_dtype(self) -> None:
        assert {name: str(dtype) for name, dtype in parcels(TEXTS).dtypes.items()} == {
            "weight": "Float64",
            "fragile": "boolean",
            "colours": "object",
        }

    def test_the_index_is_the_columns(self) -> None:
        assert parcels(TEXTS).index.tolist() == [10, 11, 12]

    def test_each_row_has_its_own_values(self) -> None:
        frame = parcels(TEXTS)

        assert frame["weight"].tolist() == [2.5, pd.NA, 7.0]
        assert frame["colours"].tolist() == [["red"], None, ["red", "blue"]]

    def test_a_row_without_text_is_missing_in_every_column(self) -> None:
        assert parcels(TEXTS).isna().all(axis=1).tolist() == [False, True, False]

    @pytest.mark.parametrize("rows", [[], [None]], ids=["empty", "no text"])
    def test_where_there_is_nothing_the_dtypes_are_the_same(self, rows: list[Any]) -> None:
        assert [str(dtype) for dtype in parcels(rows).dtypes] == ["Float64", "boolean", "object"]

    def test_a_list_changed_in_one_row_is_not_changed_in_an_equal_one(self) -> None:
        frame = parcels([TEXTS[0], TEXTS[0]])
        frame["colours"].iloc[0].append("green")

        assert frame["colours"].iloc[1] == ["red"]

    def test_rows_that_share_a_request_get_their_own(self, api: FakeApi) -> None:
        frame = parcels([f"weight: {number}" for number in range(40)], rows_per_request=10)

        assert (frame["weight"].tolist(), pack_sizes(api)) == ([float(number) for number in range(40)], [10] * 4)

    def test_a_second_run_costs_nothing_and_gives_the_same(self, api: FakeApi) -> None:
        first = parcels(TEXTS)
        asked = len(api.requests)

        pd.testing.assert_frame_equal(parcels(TEXTS), first)
        assert len(api.requests) == asked


class TestDetails:
    def test_details_stand_beside_the_columns(self, api: FakeApi) -> None:
        details = parcels(TEXTS, details=True)

        assert details.columns.tolist()[:4] == ["weight", "fragile", "colours", "error"]
        assert details["weight"].tolist() == [2.5, pd.NA, 7.0]

    def test_a_detail_makes_way_for_a_column_of_its_name(self, api: FakeApi) -> None:
        task = Parcel({"weight": "Float64", "model": "str"})
        details = answered(pd.Series(["weight: 3"]), task, details=True)

        assert (details["model"].isna().tolist(), details["model_of_answer"].tolist()) == (
            [True],
            ["mistral-small-latest"],
        )


@ignores_failures
class TestFailures:
    def test_a_failed_row_is_missing_in_every_column(self, api: FakeApi) -> None:
        api.play(Fault(content="no parcel", when="weight: 7"))

        assert parcels(TEXTS).isna().all(axis=1).tolist() == [False, True, True]

    def test_asking_again_fills_its_columns(self, api: FakeApi) -> None:
        api.play(Fault(content="no parcel", when="weight: 7"))
        parcels(TEXTS)
        again = mistral_nb.session().last_run.retry()

        assert (again["weight"].tolist(), again["colours"].tolist()) == (
            [2.5, pd.NA, 7.0],
            [["red"], None, ["red", "blue"]],
        )


class TestTemperature:
    def test_it_is_sent_alone_and_packed(self, api: FakeApi) -> None:
        parcels([f"weight: {number}" for number in range(6)], rows_per_request=3, temperature=0.5)

        assert {request.body["temperature"] for request in api.requests} == {0.5}

    def test_answers_at_another_temperature_are_others(self, api: FakeApi) -> None:
        for temperature in (0.5, 0.7, 0.5):
            parcels(TEXTS, temperature=temperature)

        assert len(api.requests) == 4

    @pytest.mark.parametrize("temperature", [-0.1, 1.6, "hot", True, float("nan")])
    def test_one_that_the_api_would_refuse_is_refused(self, temperature: Any) -> None:
        with pytest.raises(mistral_nb.errors.InvalidOption, match=r"temperature is .*\nGive a number from 0 to 1\.5"):
            parcels(TEXTS, temperature=temperature)
