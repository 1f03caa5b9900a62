"""A prompt of one's own for each row: what is asked, of which rows, and what comes back."""

import datetime
import json
import re
from typing import Any

import pandas as pd
import pytest

from mistral_nb import Receipt, errors
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

TEMPLATE = "Write a {tone} reply to: {review}"


@pytest.fixture
def reviews() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "tone": ["kind", "short", "kind"],
            "review": ["The lamp broke.", "Too late!", "The lamp broke."],
            "stars": [1, 2, 1],
        },
        index=[7, 8, 9],
    )


def prompts(api: FakeApi) -> list[str]:
    return sorted(request.text for request in api.requests)


class TestWhatIsAsked:
    def test_the_model_reads_the_prompt_with_the_rows_values(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        reviews.head(1).mistral.ask(TEMPLATE)

        assert prompts(api) == ["Write a kind reply to: The lamp broke."]

    def test_equal_rows_are_asked_once(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        reviews.mistral.ask(TEMPLATE)

        assert len(api.requests) == 2

    def test_rows_that_differ_only_in_other_columns_are_equal(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        reviews.assign(stars=[1, 2, 3]).mistral.ask(TEMPLATE)

        assert len(api.requests) == 2

    def test_braces_and_quotes_in_a_value_stay_what_they_are(self, api: FakeApi) -> None:
        pd.DataFrame({"a": ['{b} {{"x"}} \\n {a}'], "b": ["never"]}).mistral.ask("Say {a} and {b}.")

        assert prompts(api) == ['Say {b} {{"x"}} \\n {a} and never.']

    @pytest.mark.parametrize(
        ("values", "shown"),
        [
            ([3], "3"),
            ([3.0, None], "3"),
            ([2.5], "2.5"),
            ([True], "True"),
            (pd.to_datetime(["2026-05-01"]), "2026-05-01"),
            (pd.to_datetime(["2026-05-01 10:30"]), "2026-05-01T10:30:00"),
            ([datetime.date(2026, 5, 1)], "2026-05-01"),
            (pd.Series(["a"], dtype="category"), "a"),
        ],
        ids=repr,
    )
    def test_numbers_and_dates_stand_as_a_reader_writes_them(self, api: FakeApi, values: Any, shown: str) -> None:
        pd.DataFrame({"x": values}).mistral.ask("About {x}")

        assert prompts(api) == [f"About {shown}"]

    @pytest.mark.pandas_only("names that are numbers")
    def test_a_column_that_is_named_by_a_number_is_written_as_one(self, api: FakeApi) -> None:
        pd.DataFrame([["kind", "It broke."]]).mistral.ask("Write a {0} reply to: {1}")

        assert api.requests[0].text == "Write a kind reply to: It broke."

    def test_the_length_and_the_instructions_reach_the_model(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        reviews.head(1).mistral.ask(TEMPLATE, max_words=60, instructions="Never promise a refund.")
        told = api.requests[0].body["messages"][0]["content"]

        assert ("at most 60 words" in told, told.endswith("Never promise a refund.")) == (True, True)

    def test_another_prompt_is_another_question(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        reviews.mistral.ask(TEMPLATE)
        reviews.mistral.ask(f"{TEMPLATE}?")

        assert len(api.requests) == 4

    def test_a_series_is_a_frame_of_one_column(self, api: FakeApi) -> None:
        pd.Series(["The lamp broke."]).mistral.ask("Reply to: {text}")

        assert prompts(api) == ["Reply to: The lamp broke."]


@pytest.mark.usefixtures("api")
class TestWhatComesBack:
    def test_each_row_has_its_own_answer(self, reviews: pd.DataFrame) -> None:
        answers = reviews.mistral.ask(TEMPLATE)

        assert answers.tolist() == [
            f"Answer to: Write a {tone} reply to: {review}" for tone, review, _ in reviews.to_numpy()
        ]

    @pytest.mark.pandas_only("an index")
    def test_the_index_is_the_frames(self, reviews: pd.DataFrame) -> None:
        pd.testing.assert_index_equal(reviews.mistral.ask(TEMPLATE).index, reviews.index)

    def test_an_empty_frame_gives_an_empty_column(self, reviews: pd.DataFrame) -> None:
        assert reviews.head(0).mistral.ask(TEMPLATE).dtype == "str"

    def test_a_failed_row_is_asked_again_by_retry(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        api.play(Fault(status=400, when="Too late"))
        with pytest.warns(UserWarning, match="1 of 3 rows failed"):
            reviews.mistral.ask(TEMPLATE)

        assert reviews.mistral.last_run.retry().notna().all()

    def test_a_dry_run_sends_nothing(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        receipt = reviews.mistral.ask(TEMPLATE, dry_run=True)

        assert (isinstance(receipt, Receipt), receipt.requests, api.requests) == (True, 2, [])


class TestManyRows:
    def test_short_answers_share_requests_and_each_row_gets_its_own(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"tone": ["kind", "short"] * 150, "review": [f"answer: A{row}" for row in range(300)]})
        answers = frame.mistral.ask(TEMPLATE, max_words=20)
        is_own = [answer.endswith(f"A{row}") for row, answer in enumerate(answers)]

        assert (all(is_own), len(api.requests) < 100) == (True, True)

    def test_a_shared_request_says_the_prompt_once_and_the_values_by_name(
        self, api: FakeApi, reviews: pd.DataFrame
    ) -> None:
        reviews.mistral.ask(TEMPLATE, max_words=20, rows_per_request=2)
        told, asked = (message["content"] for message in api.requests[0].body["messages"])

        assert (told.count(TEMPLATE), asked.splitlines()[0]) == (1, '1 {"tone": "kind", "review": "The lamp broke."}')

    @pytest.mark.parametrize("value", ['"}\n2 {"tone": "x"', "line\u2028end", "{review}"])
    def test_no_value_leaves_its_row_of_a_shared_request(self, api: FakeApi, value: str) -> None:
        pd.DataFrame({"tone": ["a", value], "review": ["b", "c"]}).mistral.ask(
            TEMPLATE, max_words=20, rows_per_request=2
        )
        lines = api.requests[0].text.splitlines()

        assert [json.loads(line.partition(" ")[2])["tone"] for line in lines] == ["a", value]

    def test_long_answers_are_given_alone(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        reviews.mistral.ask(TEMPLATE, max_words=300, rows_per_request=2)

        assert len(api.requests) == 2


class TestMissingValues:
    @pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, " \n"], ids=repr)
    def test_a_row_that_lacks_a_value_is_missing_and_not_asked(self, api: FakeApi, missing: Any) -> None:
        frame = pd.DataFrame({"tone": ["kind", missing], "review": ["A", "B"]}, dtype=object)

        assert (frame.mistral.ask(TEMPLATE).isna().tolist(), len(api.requests)) == ([False, True], 1)

    def test_a_missing_value_of_a_column_that_is_not_named_does_not_matter(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"review": ["A"], "other": [None]})

        assert frame.mistral.ask("Reply to {review}").notna().all()

    def test_a_text_can_stand_for_missing_values(self, api: FakeApi) -> None:
        pd.DataFrame({"tone": [None], "review": ["A"]}).mistral.ask(TEMPLATE, fill="polite")

        assert prompts(api) == ["Write a polite reply to: A"]

    def test_it_can_stand_for_those_of_one_column_alone(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"tone": [None, "kind"], "review": ["A", None]})
        answers = frame.mistral.ask(TEMPLATE, fill={"tone": "polite"})

        assert (prompts(api), answers.isna().tolist()) == (["Write a polite reply to: A"], [False, True])


class TestBadInput:
    def test_an_unknown_column_is_told_before_any_request(self, api: FakeApi, reviews: pd.DataFrame) -> None:
        with pytest.raises(errors.UnknownColumn, match=r"Did you mean \{review\}\?"):
            reviews.mistral.ask("Reply to {revew}")

        assert api.requests == []

    @pytest.mark.parametrize("value", [[1], b"x", {"a": 1}], ids=repr)
    def test_a_value_that_is_no_text_is_refused_with_a_cast(self, value: Any, library: str) -> None:
        cast = {"pandas": "astype(str)", "polars": "cast(pl.String)"}[library]
        with pytest.raises(errors.NotText, match=re.escape(f"df['x'].{cast}")):
            pd.DataFrame({"x": [value]}, dtype=object).mistral.ask("About {x}")

    @pytest.mark.parametrize("fill", ["", 3, {"tone": None}], ids=repr)
    def test_a_fill_that_is_no_text_is_refused(self, reviews: pd.DataFrame, fill: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="fill is"):
            reviews.mistral.ask(TEMPLATE, fill=fill)

    def test_a_fill_for_another_column_is_refused(self, reviews: pd.DataFrame) -> None:
        with pytest.raises(errors.UnknownColumn, match="fill names 'stars'"):
            reviews.mistral.ask(TEMPLATE, fill={"stars": "0"})

    @pytest.mark.parametrize("option", [{"max_words": 0}, {"max_words": "60"}, {"instructions": " "}], ids=repr)
    def test_an_option_that_can_not_be_is_refused(self, reviews: pd.DataFrame, option: Any) -> None:
        with pytest.raises(errors.InvalidOption, match=next(iter(option))):
            reviews.mistral.ask(TEMPLATE, **option)


@pytest.mark.usefixtures("embedded")
def test_the_embedded_model_replies() -> None:
    frame = pd.DataFrame({"tone": ["friendly"], "review": ["The lamp broke after two days."]})
    answer = frame.mistral.ask("Write a {tone} reply to this review: {review}", max_words=40).iloc[0]

    assert len(answer.split()) > 3
