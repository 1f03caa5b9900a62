"""Summaries of rows, of groups and of whole columns, through the accessor."""

import pickle
import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

import mistral_nb
from mistral_nb import Receipt, errors
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.row_runs import Gate
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

PRODUCTS = ["lamp", "app", "chair"]
MODEL = "mistral-small-latest"


@pytest.fixture
def tickets() -> pd.DataFrame:
    """Return 1,200 rows of three products, of which a tenth have no text: more than a request holds."""
    rows = range(1200)
    return pd.DataFrame(
        {
            "product": [PRODUCTS[row % 3] for row in rows],
            "year": [2025 + row % 2 for row in rows],
            "text": [
                f"Ticket {row}: it came late and was broken {'x' * (row % 17)}" if row % 10 else None for row in rows
            ],
        }
    )


def texts_read(api: FakeApi) -> list[str]:
    """Return the numbers of the tickets that were read as texts, as often as they were."""
    leaves = [request.text for request in api.requests if "Ticket" in request.text and "Answer to" not in request.text]
    return [found for text in leaves for found in re.findall(r"Ticket (\d+):", text)]


def numbers_of(frame: pd.DataFrame) -> list[str]:
    return sorted(str(number) for number, text in enumerate(frame["text"]) if text is not None and not pd.isna(text))


@pytest.fixture
def priced(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """Let the fake API's tokens have Mistral's prices."""
    monkeypatch.setattr("mistral_nb.settings.Settings.is_mistrals_own", property(lambda self: True))
    return api


class TestByGroup:
    def test_each_group_has_one_summary_and_says_how_many_rows_it_covers(
        self, api: FakeApi, tickets: pd.DataFrame
    ) -> None:
        found = tickets.mistral.summarize("text", by="product")

        assert (found.index.tolist(), found["rows"].tolist(), found["summary"].notna().all()) == (
            ["app", "chair", "lamp"],
            [360, 360, 360],
            True,
        )

    def test_every_text_is_read_once(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.summarize("text", by="product")

        assert sorted(texts_read(api)) == numbers_of(tickets)

    def test_several_keys_give_a_multi_index(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        found = tickets.mistral.summarize("text", by=["product", "year"])

        pd.testing.assert_index_equal(found.index, tickets.groupby(["product", "year"]).size().index)

    def test_a_series_is_grouped_as_pandas_does_it(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        by_frame = tickets.mistral.summarize("text", by="product")

        pd.testing.assert_frame_equal(tickets["text"].mistral.summarize(by=tickets["product"]), by_frame)

    @pytest.mark.pandas_only("an index")
    def test_a_level_of_the_index_can_be_the_key(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        found = tickets.set_index("product")["text"].mistral.summarize(by="product")

        assert found.index.tolist() == ["app", "chair", "lamp"]

    @pytest.mark.pandas_only("an index")
    @pytest.mark.parametrize("levels", [["product"], ["product", "year"]], ids=["index", "multi-index"])
    def test_a_frame_is_grouped_by_levels_and_series_too(
        self, api: FakeApi, tickets: pd.DataFrame, levels: list[str]
    ) -> None:
        by_columns = tickets.mistral.summarize("text", by=["product", "year"])
        keys = ["product", tickets.set_index(levels)["year"] if "year" not in levels else "year"]

        pd.testing.assert_frame_equal(tickets.set_index(levels).mistral.summarize("text", by=keys), by_columns)

    def test_rows_without_a_key_are_in_no_summary(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"key": ["a", None], "text": ["One.", "Two."]})

        assert frame.mistral.summarize("text", by="key")["rows"].to_dict() == {"a": 1}

    def test_a_group_without_text_is_missing_and_asks_nothing(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"key": ["a", "b"], "text": ["One.", None]})
        found = frame.mistral.summarize("text", by="key")

        assert (found["summary"].isna().tolist(), len(api.requests)) == ([False, True], 1)

    def test_equal_texts_are_read_once_and_counted(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"key": ["a"] * 4, "text": ["Late.", "Late.", "Broken.", "Late."]})
        found = frame.mistral.summarize("text", by="key")

        assert (api.requests[0].text, found["rows"].tolist()) == ('3 × "Late."\n"Broken."', [4])

    def test_a_group_of_one_text_takes_the_answer_kept_for_the_text(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"key": ["a", "a"], "text": ["Late.", "Late."]})
        frame.mistral.summarize("text", max_words=60)
        frame.mistral.summarize("text", by="key", max_words=60)

        assert len(api.requests) == 1

    def test_an_empty_frame_has_no_groups(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        assert tickets.head(0).mistral.summarize("text", by="product").shape == (0, 2)

    def test_details_have_tokens_and_rows_of_each_group(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        found = tickets.mistral.summarize("text", by="product", details=True)

        assert (found["rows"].sum(), found["prompt_tokens"].sum()) == (
            1080,
            mistral_nb.session().last_run.result.usage.prompt_tokens,
        )


class TestWhole:
    def test_one_text_comes_back_which_knows_its_rows(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        found = tickets.mistral.summarize("text", whole=True)

        assert (isinstance(found, str), found.rows) == (True, 1080)

    def test_every_text_is_read_once(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.summarize("text", whole=True)

        assert sorted(texts_read(api)) == numbers_of(tickets)

    def test_the_last_request_reads_summaries_and_has_the_length_that_was_asked(
        self, api: FakeApi, tickets: pd.DataFrame
    ) -> None:
        tickets.mistral.summarize("text", whole=True, max_words=30, focus="complaints", language="French")
        told = api.requests[-1].body["messages"][0]["content"]

        assert (
            "number of texts that a summary covers" in told,
            "at most 30 words, in French. Tell only what" in told,
        ) == (
            True,
            True,
        )

    def test_a_changed_row_changes_its_own_branch_alone(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.summarize("text", whole=True)
        requests = len(api.requests)
        changed = tickets.copy()
        changed.loc[601, "text"] = "Something else altogether"
        changed.mistral.summarize("text", whole=True)

        assert (requests > 5, len(api.requests) - requests <= 2) == (True, True)

    def test_an_inserted_row_changes_its_own_branch_alone(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.summarize("text", whole=True)
        requests = len(api.requests)
        inserted = pd.concat([tickets.head(203), tickets.tail(1).assign(text="A new one"), tickets.tail(-203)])
        inserted.mistral.summarize("text", whole=True)

        assert len(api.requests) - requests <= 3

    def test_a_second_run_costs_nothing(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        first = tickets.mistral.summarize("text", whole=True)
        requests = len(api.requests)

        assert (tickets.mistral.summarize("text", whole=True), len(api.requests)) == (first, requests)

    def test_a_column_without_text_has_no_summary(self, api: FakeApi) -> None:
        assert (pd.Series([None, " "], dtype=object).mistral.summarize(whole=True), api.requests) == (None, [])

    def test_it_shows_how_many_rows_it_covers_and_runs_nothing(self, api: FakeApi) -> None:
        api.play(Fault(content="<script>alert(1)</script>"))
        found = pd.Series(["One.", "Two."]).mistral.summarize(whole=True)

        assert ("Summary of 2 rows" in found._repr_html_(), "<script>" in found._repr_html_()) == (True, False)

    def test_it_can_be_pickled(self, api: FakeApi) -> None:
        found = pickle.loads(pickle.dumps(pd.Series(["One.", "Two."]).mistral.summarize(whole=True)))

        assert found.rows == 2


class TestLongTexts:
    LONG = " ".join(f"Paragraph {number} says this and that.\n\n" for number in range(1500))

    @pytest.fixture
    def column(self) -> pd.Series:
        return pd.Series(["A short one.", self.LONG, None, self.LONG])

    def test_a_text_longer_than_the_window_is_summarized_in_parts(self, api: FakeApi, column: pd.Series) -> None:
        column.mistral.summarize()
        parts = [
            request.text for request in api.requests if "Paragraph" in request.text and "Answer to" not in request.text
        ]

        assert (len(parts) > 3, sorted(re.findall(r"Paragraph (\d+)", "".join(parts)))) == (
            True,
            sorted(map(str, range(1500))),
        )

    def test_each_row_has_its_summary_and_equal_rows_share_it(self, api: FakeApi, column: pd.Series) -> None:
        found = column.mistral.summarize()

        assert (found.isna().tolist(), found[1] == found[3], found.dtype) == ([False, False, True, False], True, "str")

    def test_short_texts_are_asked_as_ever(self, api: FakeApi, column: pd.Series) -> None:
        column.head(1).mistral.summarize()
        column.mistral.summarize()

        assert [request.text for request in api.requests].count("A short one.") == 1

    def test_details_of_a_long_text_have_the_tokens_of_all_its_parts(self, api: FakeApi, column: pd.Series) -> None:
        found = column.mistral.summarize(details=True)

        assert (found["prompt_tokens"].sum(), found["value"].isna().sum()) == (
            mistral_nb.session().last_run.result.usage.prompt_tokens,
            1,
        )

    def test_a_part_that_fails_fails_its_row_alone(self, api: FakeApi, column: pd.Series) -> None:
        api.play(Fault(status=400, when="Paragraph 700 ", times=None))
        with pytest.warns(FailedRowsWarning, match="2 of 4 rows failed"):
            found = column.mistral.summarize()

        assert found.isna().tolist() == [False, True, True, True]


class TestFailures:
    def test_a_text_that_is_refused_is_left_out_and_counted(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        api.play(Fault(status=400, when="Ticket 601:", times=None))
        with pytest.warns(FailedRowsWarning, match=r"1 of 1,200 rows failed in summarize[\s\S]*1 × RequestRejected"):
            found = tickets.mistral.summarize("text", whole=True)

        assert found.rows == 1079

    def test_what_was_left_out_is_listed_with_its_group(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        api.play(Fault(status=400, when="Ticket 601:", times=None))
        with pytest.warns(FailedRowsWarning):
            tickets.mistral.summarize("text", by="product")

        assert tickets.mistral.last_run.failed["error"].to_dict() == {"app": "RequestRejected"}

    def test_errors_can_be_raised(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        api.play(Fault(status=400, when="Ticket 601:", times=None))
        with pytest.raises(errors.RowsFailed) as caught:
            tickets.mistral.summarize("text", by="product", errors="raise")

        assert caught.value.result["rows"].to_dict() == {"app": 359, "chair": 360, "lamp": 360}

    def test_retry_asks_for_the_failed_groups_alone(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"key": ["a", "b"], "text": ["One.", "Two."]})
        api.play(Fault(status=400, when="Two."))
        with pytest.warns(FailedRowsWarning):
            frame.mistral.summarize("text", by="key")
        asked = len(api.requests)
        found = frame.mistral.last_run.retry()

        assert (found["rows"].to_dict(), len(api.requests) - asked) == ({"a": 1, "b": 1}, 1)

    def test_a_wrong_key_stops_all_of_it(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        mistral_nb.configure(api_key="wrong")
        with pytest.raises(errors.InvalidKey):
            tickets.mistral.summarize("text", whole=True)


class TestTheWholeTree:
    def test_a_dry_run_counts_all_levels_and_sends_nothing(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        receipt = tickets.mistral.summarize("text", whole=True, dry_run=True)

        assert (isinstance(receipt, Receipt), receipt.requests > receipt.requests_for_answers > 0, api.requests) == (
            True,
            True,
            [],
        )

    def test_the_requests_that_read_texts_are_counted_exactly(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        receipt = tickets.mistral.summarize("text", whole=True, dry_run=True)
        tickets.mistral.summarize("text", whole=True)
        read_texts = [request for request in api.requests if "Answer to" not in request.text]

        assert receipt.requests - receipt.requests_for_answers == len(read_texts)

    def test_the_receipt_says_which_of_it_is_an_estimate(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        receipt = tickets.mistral.summarize("text", whole=True, dry_run=True)

        assert re.search(r"requests +\d+: \d+ read texts, about \d+ read their answers", str(receipt))

    def test_a_second_dry_run_knows_that_all_is_kept(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.summarize("text", whole=True)

        assert tickets.mistral.summarize("text", whole=True, dry_run=True).requests == 0

    def test_the_receipts_worst_case_is_never_exceeded(self, priced: FakeApi, tickets: pd.DataFrame) -> None:
        receipt = tickets.mistral.summarize("text", by="product", model=MODEL, dry_run=True)
        tickets.mistral.summarize("text", by="product", model=MODEL)

        assert tickets.mistral.last_run.result.cost_usd <= receipt.cost_usd_most

    def test_a_budget_holds_for_all_levels_together(self, priced: FakeApi, tickets: pd.DataFrame) -> None:
        receipt = tickets.mistral.summarize("text", whole=True, model=MODEL, dry_run=True)
        budget = receipt.cost_usd_expected * Decimal("0.6")
        with pytest.warns(FailedRowsWarning, match="BudgetReached"):
            tickets.mistral.summarize("text", whole=True, model=MODEL, budget_usd=budget)

        assert 0 < tickets.mistral.last_run.result.cost_usd <= budget

    def test_a_larger_budget_goes_on_from_there(self, priced: FakeApi, tickets: pd.DataFrame) -> None:
        budget = tickets.mistral.summarize("text", whole=True, model=MODEL, dry_run=True).cost_usd_expected
        with pytest.warns(FailedRowsWarning, match="BudgetReached"):
            tickets.mistral.summarize("text", whole=True, model=MODEL, budget_usd=budget * Decimal("0.6"))
        tickets.mistral.summarize("text", whole=True, model=MODEL)

        assert sorted(texts_read(priced)) == numbers_of(tickets)

    def test_it_can_go_on_in_the_background(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        run = tickets.mistral.summarize("text", whole=True, background=True)

        assert (run.result().rows, run.progress.done) == (1080, 1200)

    def test_cancelled_it_asks_nothing_more_and_has_no_summary(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        gate = Gate(api)
        run = tickets.mistral.summarize("text", whole=True, background=True)
        gate.wait_for(1)
        run.cancel()
        gate.open()

        assert (run.result(), any("Answer to" in request.text for request in api.requests)) == (None, False)

    def test_what_is_masked_is_the_same_in_all_texts_and_put_back_into_the_summary(self, api: FakeApi) -> None:
        texts = pd.Series(["Write to anna@example.org.", "Ask anna@example.org again."])
        found = texts.mistral.summarize(whole=True, mask=True)

        assert ("anna@" in api.requests[0].text, found.count("anna@example.org")) == (False, 2)


class TestBadInput:
    def test_an_unknown_key_is_told_before_any_request(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        with pytest.raises(errors.UnknownColumn, match="Did you mean 'product'"):
            tickets.mistral.summarize("text", by="produkt")

        assert api.requests == []

    @pytest.mark.pandas_only("arrays and tuples")
    @pytest.mark.parametrize(
        ("key", "remedy"),
        [
            (np.arange(3), r"A ndarray is no column's name\.\n.*pd\.Series\(values, index=df\.index\)"),
            (("product", "year"), r"Give several columns as a list: \['product', 'year'\]"),
        ],
        ids=["array", "tuple"],
    )
    def test_keys_in_another_form_are_told_the_one_that_does(
        self, tickets: pd.DataFrame, key: Any, remedy: str
    ) -> None:
        with pytest.raises(errors.UnknownColumn, match=remedy):
            tickets.mistral.summarize("text", by=key)

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"by": "product", "whole": True}, "both by= and whole=True"),
            ({"by": []}, "by is an empty list"),
            ({"whole": "yes"}, "whole is 'yes'"),
            ({"max_words": 0}, "max_words is 0"),
        ],
        ids=repr,
    )
    def test_options_that_can_not_be_are_refused(self, tickets: pd.DataFrame, options: Any, problem: str) -> None:
        with pytest.raises(errors.InvalidOption, match=problem):
            tickets.mistral.summarize("text", **options)

    def test_a_series_has_no_columns_to_group_by(self, tickets: pd.DataFrame) -> None:
        with pytest.raises(errors.UnknownColumn, match="no 'product' to group by"):
            tickets["text"].mistral.summarize(by="product")


@pytest.mark.usefixtures("embedded")
def test_the_embedded_model_summarizes_groups() -> None:
    texts = ["The lamp broke after two days.", "The lamp is too dark.", "The app crashes.", "The app is slow."]
    frame = pd.DataFrame({"product": ["lamp", "lamp", "app", "app"], "text": texts})
    found = frame.mistral.summarize("text", by="product", max_words=20)

    assert (found["rows"].tolist(), found["summary"].str.len().gt(5).all()) == ([2, 2], True)


@pytest.mark.usefixtures("embedded")
def test_the_embedded_model_summarizes_a_whole_column() -> None:
    texts = pd.Series(["The lamp broke after two days.", "The app crashes.", None])
    summary = texts.mistral.summarize(whole=True, max_words=20)

    assert (summary.rows, len(summary) > 5) == (2, True)
