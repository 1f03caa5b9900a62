"""What texts say, in columns: from schema to dtypes, nested fields, lists, and answers that do not fit."""

import dataclasses
import datetime
import enum
import json
from typing import Any, Literal, TypedDict

import pandas as pd
import pytest
from pydantic import BaseModel, Field, field_validator

import mistral_nb
from mistral_nb import errors
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

FIRST = "number: 12; total: 40.5; due: 2026-05-01; paid: yes; a reminder; name: Anna; city: Ulm"
SECOND = "number: 13; total: null; paid: no; an invoice; name: Bo"


class Customer(BaseModel):
    name: str
    city: str | None = None


class Item(BaseModel):
    product: str
    count: int


class Kind(enum.Enum):
    INVOICE = "invoice"
    REMINDER = "reminder"


class Invoice(BaseModel):
    number: int
    total: float | None
    due: datetime.date | None = None
    paid: bool
    kind: Kind
    customer: Customer


class Basket(BaseModel):
    name: str
    items: list[Item]
    tags: list[str] = Field(default_factory=list)


class InvoiceDict(TypedDict):
    number: int
    kind: Literal["invoice", "reminder"]


@dataclasses.dataclass
class InvoiceRecord:
    number: int
    name: str = "nobody"


class Small(BaseModel):
    number: int

    @field_validator("number")
    @classmethod
    def is_small(cls, number: int) -> int:
        if number > 100:
            raise ValueError("no more than 100")
        return number


@pytest.fixture
def letters() -> pd.DataFrame:
    return pd.DataFrame({"text": [FIRST, None, SECOND]}, index=[7, 7, 9])


def said(record: Any, times: int | None = 1, when: str | None = None) -> Fault:
    return Fault(content=json.dumps(record), times=times, when=when)


@pytest.mark.usefixtures("api")
class TestColumns:
    def test_a_model_that_may_be_missing_has_the_columns_that_it_has_alone(
        self, api: FakeApi, letters: pd.DataFrame
    ) -> None:
        alone = letters.mistral.extract("text", Customer)
        api.play(said({"answer": None}, when=SECOND))
        found = letters.mistral.extract("text", Customer | None)

        assert (found.dtypes.equals(alone.dtypes), found.isna().all(axis=1).tolist()) == (True, [False, True, True])
        assert found.iloc[0].tolist() == alone.iloc[0].tolist()

    def test_a_model_that_may_be_missing_can_be_one_column_of_objects(self, letters: pd.DataFrame) -> None:
        found = letters.mistral.extract("text", Customer | None, nested="object")

        assert found.columns.tolist() == ["answer"]

    def test_each_field_is_a_column_with_a_dtype_that_holds_missing_values(self, letters: pd.DataFrame) -> None:
        found = letters.mistral.extract("text", Invoice)

        assert found.dtypes.astype(str).to_dict() == {
            "number": "Int64",
            "total": "Float64",
            "due": "datetime64[us]",
            "paid": "boolean",
            "kind": "category",
            "customer.name": "string",
            "customer.city": "string",
        }

    def test_each_row_has_what_its_own_text_says(self, letters: pd.DataFrame) -> None:
        found = letters.mistral.extract("text", Invoice).iloc[[0, 2]]

        assert found[["number", "kind", "customer.name"]].to_numpy().tolist() == [
            [12, "reminder", "Anna"],
            [13, "invoice", "Bo"],
        ]

    def test_what_the_text_does_not_say_is_missing(self, letters: pd.DataFrame) -> None:
        found = letters.mistral.extract("text", Invoice)

        assert found["total"].isna().tolist() == [False, True, True]

    @pytest.mark.pandas_only("an index")
    def test_the_index_is_the_columns(self, letters: pd.DataFrame) -> None:
        pd.testing.assert_index_equal(letters.mistral.extract("text", Invoice).index, letters.index)

    def test_a_choice_has_the_categories_in_the_order_given(self, letters: pd.DataFrame) -> None:
        assert letters.mistral.extract("text", Invoice)["kind"].cat.categories.tolist() == ["invoice", "reminder"]

    def test_an_empty_column_gives_the_same_dtypes(self, letters: pd.DataFrame) -> None:
        full, empty = letters.mistral.extract("text", Invoice), letters.head(0).mistral.extract("text", Invoice)

        pd.testing.assert_series_equal(empty.dtypes, full.dtypes)

    def test_the_series_door_gives_what_the_frame_door_gives(self, letters: pd.DataFrame) -> None:
        by_frame = letters.mistral.extract("text", Invoice)

        pd.testing.assert_frame_equal(letters["text"].mistral.extract(Invoice), by_frame)

    @pytest.mark.parametrize(
        ("schema", "columns"),
        [
            (InvoiceDict, {"number": "Int64", "kind": "category"}),
            (InvoiceRecord, {"number": "Int64", "name": "string"}),
            ({"number": int, "due": datetime.date, "kind": ["invoice", "reminder"]}, None),
            (["name", "city of the customer"], {"name": "string", "city of the customer": "string"}),
            (Kind, {"answer": "category"}),
            (int, {"answer": "Int64"}),
            (list[Item], {"answer": "object"}),
            ({"type": "object", "properties": {"n": {"type": "number"}}}, {"n": "Float64"}),
        ],
        ids=lambda value: getattr(value, "__name__", str(value)[:40]),
    )
    def test_every_kind_of_schema_has_its_columns(self, letters: pd.DataFrame, schema: Any, columns: Any) -> None:
        found = letters.mistral.extract("text", schema).dtypes.astype(str).to_dict()

        assert found == (columns or {"number": "Int64", "due": "datetime64[us]", "kind": "category"})

    def test_a_field_of_any_kind_is_an_object_or_in_polars_its_json(self, letters: pd.DataFrame, library: str) -> None:
        found = letters.mistral.extract("text", {"type": "object", "properties": {"x": {}}})

        assert str(found["x"].dtype) == {"pandas": "object", "polars": "string"}[library]

    def test_nested_fields_can_be_one_column_of_objects(self, letters: pd.DataFrame) -> None:
        found = letters.mistral.extract("text", Invoice, nested="object")

        assert found["customer"].iloc[0] == {"name": "Anna", "city": "Ulm"}

    def test_a_moment_with_an_offset_is_told_in_utc(self, api: FakeApi) -> None:
        api.play(said({"at": "2026-05-01T10:00:00+02:00"}))
        found = pd.Series(["x"]).mistral.extract({"at": datetime.datetime})

        assert found["at"].iloc[0] == pd.Timestamp("2026-05-01 08:00")


class TestLists:
    @pytest.fixture
    def baskets(self, api: FakeApi) -> pd.Series:
        items = [{"product": "lamp", "count": 2}, {"product": "chair", "count": 1}]
        api.play(said({"name": "a", "items": items, "tags": ["x", "y"]}, None, "first"))
        api.play(said({"name": "b", "items": [], "tags": []}, None, "second"))
        return pd.Series(["first", "second", None], index=[5, 6, 7])

    def test_lists_stay_lists(self, baskets: pd.Series) -> None:
        assert baskets.mistral.extract(Basket)["tags"].tolist()[:2] == [["x", "y"], []]

    def test_items_can_be_rows_with_columns_of_their_own(self, baskets: pd.Series) -> None:
        found = baskets.mistral.extract(Basket, explode="items")

        assert (found.index.tolist(), found["items.product"].tolist()[:2], found.dtypes.astype(str)["items.count"]) == (
            [5, 5, 6, 7],
            ["lamp", "chair"],
            "Int64",
        )

    def test_the_other_columns_are_repeated_and_stay_in_their_place(self, baskets: pd.Series) -> None:
        found = baskets.mistral.extract(Basket, explode="items")

        assert (found.columns.tolist(), found["name"].tolist()[:3]) == (
            ["name", "items.product", "items.count", "tags"],
            ["a", "a", "b"],
        )

    def test_an_empty_list_is_a_row_without_item(self, baskets: pd.Series) -> None:
        found = baskets.mistral.extract(Basket, explode="items")

        assert found.loc[6, "items.product"] is pd.NA

    def test_a_list_of_texts_is_a_column_of_texts(self, baskets: pd.Series) -> None:
        found = baskets.mistral.extract(Basket, explode="tags")["tags"]

        assert (found.dtype, found.tolist()[:2]) == ("string", ["x", "y"])

    def test_a_schema_that_is_a_list_is_rows_of_its_items(self, api: FakeApi) -> None:
        api.play(said({"answer": [{"product": "lamp", "count": 2}, {"product": "chair", "count": 1}]}))
        found = pd.Series(["x"]).mistral.extract(list[Item], explode=True)

        assert found.to_dict("list") == {"product": ["lamp", "chair"], "count": [2, 1]}

    def test_showing_it_otherwise_costs_nothing(self, api: FakeApi, baskets: pd.Series) -> None:
        baskets.mistral.extract(Basket)
        asked = len(api.requests)
        baskets.mistral.extract(Basket, explode="items")
        baskets.mistral.extract(Basket, nested="object")

        assert len(api.requests) == asked

    @pytest.mark.parametrize(
        ("explode", "error", "problem"),
        [
            ("item", errors.UnknownColumn, "explode names 'item'"),
            ("name", errors.InvalidOption, "'name' holds no lists"),
            (True, errors.InvalidOption, "explode=True needs one list, and the schema has 2"),
        ],
    )
    def test_a_list_that_there_is_not_is_refused(
        self, api: FakeApi, explode: Any, error: type[Exception], problem: str
    ) -> None:
        with pytest.raises(error, match=problem):
            pd.Series(["x"]).mistral.extract(Basket, explode=explode)

    def test_details_have_a_line_per_row_and_explode_several(self, api: FakeApi) -> None:
        with pytest.raises(errors.InvalidOption, match="details=True has a line per row"):
            pd.Series(["x"]).mistral.extract(Basket, explode="items", details=True)


class TestAnswersThatDoNotFit:
    def test_one_is_asked_for_again_with_what_is_wrong(self, api: FakeApi) -> None:
        api.play(said({"number": 500}))
        api.play(said({"number": 5}))
        found = pd.Series(["number: 5"]).mistral.extract(Small)
        again = api.requests[1].body["messages"][-1]["content"]

        assert (found["number"].tolist(), "number: Value error, no more than 100" in again) == ([5], True)

    def test_all_attempts_are_on_the_bill(self, api: FakeApi) -> None:
        api.play(said({"number": 500}))
        found = pd.Series(["number: 5"]).mistral.extract(Small, details=True)
        result = mistral_nb.session().last_run.result

        assert (result.requests, found["prompt_tokens"].sum()) == (2, result.usage.prompt_tokens)

    def test_a_corrected_answer_is_kept_for_the_text(self, api: FakeApi) -> None:
        api.play(said({"number": 500}))
        pd.Series(["number: 5"]).mistral.extract(Small)
        pd.Series(["number: 5"]).mistral.extract(Small)

        assert len(api.requests) == 2

    def test_a_row_that_never_fits_is_missing_with_its_error_after_three_attempts(self, api: FakeApi) -> None:
        api.play(said({"number": 500}, None, "never"))
        api.play(said({"number": 500}, None, "That does not fit"))
        with pytest.warns(FailedRowsWarning, match="1 of 2 rows failed in extract"):
            found = pd.Series(["never", "number: 5"]).mistral.extract(Small)

        assert (found["number"].isna().tolist(), len(api.requests)) == ([True, False], 4)

    def test_a_number_that_no_column_holds_is_an_answer_that_does_not_fit(self, api: FakeApi) -> None:
        api.play(said({"n": 10**30}))
        api.play(said({"n": 7}))
        found = pd.Series(["n: 7"]).mistral.extract({"n": int})

        assert found["n"].tolist() == [7]

    def test_so_is_one_in_a_list_as_its_items_can_be_rows(self, api: FakeApi) -> None:
        api.play(said({"items": [{"product": "lamp", "count": 10**30}]}))
        api.play(said({"items": [{"product": "lamp", "count": 7}]}))
        found = pd.Series(["7 lamps"]).mistral.extract({"items": list[Item]}, explode=True)

        assert found["items.count"].tolist() == [7]

    def test_a_refused_row_is_not_asked_again(self, api: FakeApi) -> None:
        api.play(Fault(content="no", finish_reason="content_filter", when="bad"))
        with pytest.warns(FailedRowsWarning):
            pd.Series(["bad", "number: 5"]).mistral.extract(Small)

        assert len(api.requests) == 2

    def test_a_validator_may_ask_a_model_itself(self, api: FakeApi) -> None:
        class Checked(BaseModel):
            number: int

            @field_validator("number")
            @classmethod
            def agrees(cls, number: int) -> int:
                assert mistral_nb.session().complete("Is it right?").text
                return number

        assert pd.Series(["number: 5"]).mistral.extract(Checked)["number"].tolist() == [5]

    def test_retry_gives_the_whole_frame(self, api: FakeApi) -> None:
        api.play(Fault(status=400, when="number: 6"))
        texts = pd.Series(["number: 5", "number: 6"])
        with pytest.warns(FailedRowsWarning):
            texts.mistral.extract(Small)

        assert texts.mistral.last_run.retry()["number"].tolist() == [5, 6]

    def test_retry_gives_items_as_rows_where_the_verb_gave_them(self, api: FakeApi) -> None:
        api.play(said({"name": "a", "items": [], "tags": ["x", "y"]}, None, "first"))
        api.play(Fault(status=400, when="second"))
        api.play(said({"name": "b", "items": [], "tags": ["z"]}, None, "second"))
        texts = pd.Series(["first", "second"])
        with pytest.warns(FailedRowsWarning):
            texts.mistral.extract(Basket, explode="tags")
        whole = texts.mistral.last_run.retry()

        assert (whole["tags"].tolist(), whole.index.tolist(), whole["name"].tolist()) == (
            ["x", "y", "z"],
            [0, 0, 1],
            ["a", "a", "b"],
        )

    def test_the_last_run_shows_what_the_verb_gave(self, api: FakeApi) -> None:
        api.play(said({"name": "a", "items": [], "tags": ["x", "y"]}))
        texts = pd.Series(["first"])
        given = texts.mistral.extract(Basket, explode="tags")

        pd.testing.assert_frame_equal(texts.mistral.last_run.column, given)


@pytest.mark.usefixtures("api")
class TestReceipt:
    def test_it_says_that_rows_may_be_asked_again(self, letters: pd.DataFrame) -> None:
        receipt = letters.mistral.extract("text", Small, dry_run=True)

        assert (receipt.most_corrections, "does not fit is asked up to 2 times more" in str(receipt)) == (2, True)

    def test_a_verb_whose_answers_are_not_corrected_says_nothing_of_it(self, letters: pd.DataFrame) -> None:
        assert "not counted" not in str(letters.mistral.summarize("text", dry_run=True))

    def test_jobs_correct_nothing_and_their_receipt_says_nothing_of_it(self, letters: pd.DataFrame) -> None:
        assert "not counted" not in str(letters.mistral.extract("text", Small, mode="batch", dry_run=True))

    def test_the_rows_of_a_preview_may_be_corrected(self, letters: pd.DataFrame) -> None:
        receipt = letters.mistral.extract("text", Small, mode="preview+batch", preview=1, dry_run=True)

        assert receipt.most_corrections == 2


class TestManyRows:
    def test_small_objects_share_requests_and_each_row_gets_its_own(self, api: FakeApi) -> None:
        rows = pd.Series([f"number: {number}; name: N{number}; a reminder" for number in range(300)])
        found = rows.mistral.extract(InvoiceRecord)

        assert (found["number"].tolist(), len(api.requests) < 60) == (list(range(300)), True)

    def test_a_row_of_a_shared_answer_that_does_not_fit_is_asked_alone_and_corrected(self, api: FakeApi) -> None:
        rows = pd.Series([f"number: {number}" for number in range(60, 120)])
        found = rows.mistral.extract(Small, rows_per_request=20)
        # The server's correction is the number in what it is told: no more than 100.
        assert found["number"].tolist() == [min(number, 100) for number in range(60, 120)]

    def test_definitions_are_where_references_lead(self, api: FakeApi) -> None:
        rows = pd.Series([f"name: N{number}; city: C{number}" for number in range(20)])
        found = rows.mistral.extract({"customer": Customer}, rows_per_request=10)

        assert found["customer.city"].tolist() == [f"C{number}" for number in range(20)]


class TestBadInput:
    @pytest.mark.parametrize(
        "schema",
        ["name", None, [], {}, ["name", "name"], ["name", 3], {"name": "str"}, {"name": 3}, {"": str}],
        ids=repr,
    )
    def test_what_is_no_schema_is_refused_before_any_request(
        self, api: FakeApi, letters: pd.DataFrame, schema: Any
    ) -> None:
        with pytest.raises(errors.InvalidSchema):
            letters.mistral.extract("text", schema)

        assert api.requests == []

    def test_a_type_that_can_not_be_asked_for_is_shown_as_it_was_given(self, letters: pd.DataFrame) -> None:
        with pytest.raises(errors.InvalidSchema, match=r"The schema \{'due': <class 'pandas.*Timestamp'>\} can't be"):
            letters.mistral.extract("text", {"due": pd.Timestamp})

    @pytest.mark.parametrize("option", [{"nested": "dots"}, {"max_tokens": 0}, {"instructions": ""}], ids=repr)
    def test_an_option_that_can_not_be_is_refused(self, letters: pd.DataFrame, option: Any) -> None:
        with pytest.raises(errors.InvalidOption, match=next(iter(option))):
            letters.mistral.extract("text", Invoice, **option)

    @pytest.mark.parametrize("is_list", [False, True], ids=["field", "list"])
    def test_masked_texts_are_refused_where_a_field_has_to_be_an_address(
        self, api: FakeApi, letters: pd.DataFrame, is_list: bool
    ) -> None:
        address = {"type": "string", "format": "email"}
        field = {"type": "array", "items": address} if is_list else address
        schema = {"type": "object", "properties": {"mail": field}}
        with pytest.raises(errors.InvalidSchema, match="'mail' has to be an e-mail address, and with mask="):
            letters.mistral.extract("text", schema, mask=True)

        assert api.requests == []

    def test_two_columns_of_one_name_are_refused_with_the_way_out(self, letters: pd.DataFrame) -> None:
        with pytest.raises(errors.InvalidSchema, match=r"named 'a\.b'[\s\S]*nested=\"object\""):
            letters.mistral.extract("text", {"a.b": str, "a": TypedDict("A", {"b": str})})


@pytest.mark.usefixtures("embedded")
def test_the_embedded_model_extracts() -> None:
    texts = pd.Series(["Invoice 4711 over 40 euros for Anna Berg.", None])
    found = texts.mistral.extract({"number": int, "customer": str})

    assert (found.dtypes.astype(str).tolist(), found.iloc[0].notna().all()) == (["Int64", "string"], True)
