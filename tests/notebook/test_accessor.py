import re
import subprocess
import sys
import warnings
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mistral_nb
from mistral_nb import errors
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

LABELS = ["billing", "delivery", "bug"]
TEXTS = ["a question about billing", "the delivery is late", "I found a bug"]


@pytest.fixture
def tickets() -> pd.DataFrame:
    return pd.DataFrame({"id": [7, 8, 9], "text": TEXTS})


def text_of_users(api: FakeApi) -> list[str]:
    return [request.text for request in api.requests]


@pytest.mark.usefixtures("api")
class TestWhatComesBack:
    def test_each_row_gets_its_own_label(self, tickets: pd.DataFrame) -> None:
        assert tickets.mistral.classify("text", LABELS).tolist() == LABELS

    def test_labels_come_back_as_a_category_in_the_order_given(self, tickets: pd.DataFrame) -> None:
        assert tickets.mistral.classify("text", LABELS).cat.categories.tolist() == LABELS

    def test_the_series_door_gives_what_the_frame_door_gives(self, tickets: pd.DataFrame) -> None:
        by_frame = tickets.mistral.classify("text", LABELS)

        pd.testing.assert_series_equal(tickets["text"].mistral.classify(LABELS), by_frame)

    def test_summaries_are_text(self, tickets: pd.DataFrame) -> None:
        assert tickets["text"].mistral.summarize(max_words=5).dtype == "str"

    def test_the_length_that_was_asked_for_reaches_the_model(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.head(1).mistral.summarize("text", max_words=7)

        assert "at most 7 words" in api.requests[0].body["messages"][0]["content"]

    @pytest.mark.pandas_only("an index")
    @pytest.mark.parametrize(
        "index",
        [
            pd.Index([3, 3, 1]),
            pd.MultiIndex.from_tuples([("a", 1), ("a", 1), ("b", 2)], names=["x", "y"]),
            pd.DatetimeIndex(["2026-01-03", "2026-01-01", "2026-01-02"], name="day"),
        ],
        ids=["doubled", "multi", "unsorted"],
    )
    def test_any_index_comes_back_identical(self, index: pd.Index) -> None:
        column = pd.Series(TEXTS, index=index, name="text")

        pd.testing.assert_index_equal(column.mistral.classify(LABELS).index, index)

    @pytest.mark.parametrize("dtype", ["object", "str", "string", "string[pyarrow]", "category"])
    def test_every_text_dtype_is_read(self, dtype: str) -> None:
        assert pd.Series(TEXTS, dtype=dtype).mistral.classify(LABELS).tolist() == LABELS

    @pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, "", " \n\t"], ids=repr)
    def test_a_row_without_text_stays_missing(self, missing: Any) -> None:
        labels = pd.Series([TEXTS[0], missing], dtype="object").mistral.classify(LABELS)

        assert labels.isna().tolist() == [False, True]

    @pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, "", " \n\t"], ids=repr)
    def test_a_row_without_text_causes_no_request(self, api: FakeApi, missing: Any) -> None:
        pd.Series([missing], dtype="object").mistral.classify(LABELS)

        assert api.requests == []

    def test_an_empty_frame_gives_an_empty_column_of_the_right_type(self) -> None:
        empty = pd.DataFrame({"text": pd.Series([], dtype="str")})

        pd.testing.assert_series_equal(
            empty.mistral.classify("text", LABELS),
            pd.Series([], dtype=pd.CategoricalDtype(LABELS), name="text", index=empty.index),
        )

    def test_a_column_of_nothing_but_missing_values_is_no_type_error(self) -> None:
        assert pd.Series([float("nan")] * 2).mistral.classify(LABELS).isna().all()

    def test_the_frame_that_was_given_is_not_changed(self, tickets: pd.DataFrame) -> None:
        before = tickets.copy()

        tickets.mistral.classify("text", LABELS)

        pd.testing.assert_frame_equal(tickets, before)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.sampled_from([*TEXTS, None, "billing or bug", "none of them"]), min_size=1, max_size=12))
def test_answers_do_not_depend_on_the_order_of_rows(api: FakeApi, rows: list[str | None]) -> None:
    there = pd.Series(rows, dtype="object")
    back = there.iloc[::-1]

    pd.testing.assert_series_equal(there.mistral.classify(LABELS), back.mistral.classify(LABELS).iloc[::-1])


class TestOnceEach:
    def test_a_repeated_row_is_paid_for_once(self, api: FakeApi) -> None:
        pd.Series([TEXTS[0]] * 50).mistral.classify(LABELS)

        assert len(api.requests) == 1

    def test_a_second_run_costs_nothing(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.classify("text", LABELS)
        tickets.mistral.classify("text", LABELS)

        assert len(api.requests) == len(TEXTS)

    def test_answers_are_kept_for_the_next_kernel(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        first = tickets.mistral.classify("text", LABELS)
        mistral_nb.session().close()

        pd.testing.assert_series_equal(tickets.mistral.classify("text", LABELS), first)
        assert len(api.requests) == len(TEXTS)

    def test_other_labels_are_another_question(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.classify("text", LABELS)
        tickets.mistral.classify("text", [*LABELS, "praise"])

        assert len(api.requests) == 2 * len(TEXTS)

    def test_another_models_answers_are_not_taken(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.classify("text", LABELS, model="small")
        tickets.mistral.classify("text", LABELS, model="large")

        assert len(api.requests) == 2 * len(TEXTS)

    def test_a_row_whose_answer_could_not_be_read_is_asked_again_next_time(
        self, api: FakeApi, tickets: pd.DataFrame
    ) -> None:
        api.play(Fault(content="no JSON", when=TEXTS[1]))
        with pytest.warns(FailedRowsWarning):
            tickets.mistral.classify("text", LABELS)

        assert tickets.mistral.classify("text", LABELS).tolist() == LABELS


class TestFailures:
    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault(status=400, body={"message": "bad row"}, times=None), errors.RequestRejected),
            (Fault(content='{"label": "spam"}'), errors.InvalidAnswer),
            (Fault(content="certainly! it is billing"), errors.InvalidAnswer),
            (Fault(content=""), errors.InvalidAnswer),
            (Fault(finish_reason="length"), errors.TruncatedAnswer),
            (Fault(finish_reason="content_filter"), errors.Refused),
            (Fault(status=503, body="{}", times=None), errors.ServerProblem),
        ],
        ids=["400", "foreign label", "no JSON", "empty", "cut", "refused", "503 for ever"],
    )
    def test_a_bad_row_loses_only_itself(
        self, api: FakeApi, tickets: pd.DataFrame, fault: Fault, error: type[Exception]
    ) -> None:
        from dataclasses import replace

        api.play(replace(fault, when=TEXTS[1]))
        with pytest.warns(FailedRowsWarning, match="1 of 3 rows failed"):
            labels = tickets.mistral.classify("text", LABELS)

        assert labels.isna().tolist() == [False, True, False]
        assert tickets.mistral.last_run.failed["error"].tolist() == [error.__name__]

    def test_failed_rows_are_listed_under_their_own_index(self, api: FakeApi) -> None:
        api.play(Fault(content="no JSON", when=TEXTS[1]))
        column = pd.Series(TEXTS, index=["x", "y", "z"])
        with pytest.warns(FailedRowsWarning):
            column.mistral.classify(LABELS)

        assert column.mistral.last_run.failed.index.tolist() == ["y"]

    @pytest.mark.pandas_only("a call that stands in the test itself")
    def test_the_warning_points_at_the_readers_line(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        api.play(Fault(content="no JSON", times=None))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            tickets.mistral.classify("text", LABELS)

        assert [warning.filename for warning in caught] == [__file__]

    @pytest.mark.parametrize(
        "fault",
        [
            Fault(status=429, body={"message": "Rate limit exceeded"}, times=2),
            Fault(status=503, body="{}", times=2),
            Fault(reset=True, times=2),
            Fault(truncate_after_bytes=20, times=2),
        ],
        ids=["429", "503", "reset", "cut body"],
    )
    def test_a_passing_failure_is_tried_again(self, api: FakeApi, tickets: pd.DataFrame, fault: Fault) -> None:
        api.play(fault)

        assert tickets.mistral.classify("text", LABELS).tolist() == LABELS

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            (Fault(status=401, body={"detail": "Unauthorized"}, times=None), errors.InvalidKey),
            (Fault(status=400, body={"message": "Invalid model", "code": "1500"}, times=None), errors.UnknownModel),
            (
                Fault(status=429, body="{}", headers={"x-ratelimit-limit-req-minute": "0"}, times=None),
                errors.ModelNotOnPlan,
            ),
        ],
        ids=["key", "model", "plan"],
    )
    def test_what_no_row_could_escape_stops_the_run(self, api: FakeApi, fault: Fault, error: type[Exception]) -> None:
        api.play(fault)

        with pytest.raises(error):
            pd.Series([f"row {number}" for number in range(500)]).mistral.classify(LABELS)
        assert len(api.requests) <= 16

    def test_an_outage_stops_the_run_rather_than_every_row_after_row(self, api: FakeApi) -> None:
        api.play(Fault(status=503, body="{}", times=None))

        with pytest.raises(errors.ServerProblem):
            pd.Series([f"row {number}" for number in range(5000)]).mistral.classify(LABELS)

    def test_the_error_that_stops_a_run_has_no_group_of_errors_in_its_chain(self, api: FakeApi) -> None:
        """IPython shows a chain with an exception group in it as a raw traceback, and reports no error to the notebook."""
        with pytest.raises(errors.UnknownModel) as caught:
            pd.Series(TEXTS).mistral.classify(LABELS, model="nonsense")
        chain = [caught.value]
        while (before := chain[-1].__context__) is not None:
            chain.append(before)  # type: ignore[arg-type]

        assert [error for error in chain if isinstance(error, BaseExceptionGroup)] == []

    def test_the_last_run_is_still_there_after_the_settings_changed(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.mistral.classify("text", LABELS)
        mistral_nb.configure(region="eu")

        assert tickets.mistral.last_run.result.requests == 3

    def test_half_an_emoji_in_an_answer_does_not_stop_a_run(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        answer = '{"choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "cut \\ud83d"}}]}'
        api.play(Fault(status=200, body=answer, when=TEXTS[1]))

        assert tickets.mistral.summarize("text").tolist()[1] == "cut ?"

    def test_what_was_answered_before_the_run_stopped_is_kept(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        tickets.head(2).mistral.classify("text", LABELS)
        api.play(Fault(status=401, body={"detail": "Unauthorized"}))
        with pytest.raises(errors.InvalidKey):
            tickets.mistral.classify("text", LABELS)
        api.reset()

        tickets.mistral.classify("text", LABELS)

        assert text_of_users(api) == [TEXTS[2]]


class TestBadInput:
    def test_an_unknown_column_names_the_nearest_and_all(self, tickets: pd.DataFrame) -> None:
        with pytest.raises(errors.UnknownColumn, match=r"No column 'txt'.\nDid you mean 'text'\? There are: id, text."):
            tickets.mistral.classify("txt", LABELS)

    @pytest.mark.pandas_only("names used twice")
    def test_a_column_name_used_twice_is_refused(self) -> None:
        frame = pd.DataFrame([["a", "b"]], columns=["text", "text"])

        with pytest.raises(errors.UnknownColumn, match="2 columns are named 'text'"):
            frame.mistral.classify("text", LABELS)

    def test_a_column_of_numbers_is_refused_with_the_cast_to_paste(self, tickets: pd.DataFrame, library: str) -> None:
        dtype, cast = {"pandas": ("int64", 'astype("string")'), "polars": ("Int64", "cast(pl.String)")}[library]
        with pytest.raises(errors.NotText, match=rf"{dtype}, not text.\n.*df\['id'\].{re.escape(cast)}"):
            tickets.mistral.classify("id", LABELS)

    @pytest.mark.parametrize("column", [["text"], {"text"}, None, 3])
    def test_what_is_no_columns_name_is_refused(self, tickets: pd.DataFrame, column: Any) -> None:
        with pytest.raises(errors.UnknownColumn):
            tickets.mistral.classify(column, LABELS)

    @pytest.mark.pandas_only("names of several levels")
    def test_part_of_a_name_of_several_levels_is_refused(self) -> None:
        frame = pd.DataFrame([["a", "b"]], columns=pd.MultiIndex.from_tuples([("t", "x"), ("t", "y")]))

        with pytest.raises(errors.UnknownColumn, match=r"Give the whole name, e.g. \('t', 'x'\)"):
            frame.mistral.classify("t", LABELS)

    def test_bytes_are_refused_with_the_way_to_read_them(self, library: str) -> None:
        way = {"pandas": """df['text'].str.decode("utf-8")""", "polars": "df['text'].cast(pl.String)"}[library]
        with pytest.raises(errors.NotText, match=re.escape(way)):
            pd.DataFrame({"text": [b"bytes"]}).mistral.summarize("text")

    @pytest.mark.pandas_only("columns of mixed values")
    def test_a_value_that_is_not_text_is_shown(self) -> None:
        with pytest.raises(errors.NotText, match=r"holds \['a'\], a list"):
            pd.Series(["fine", ["a"]], name="text").mistral.summarize()

    @pytest.mark.parametrize(
        ("labels", "problem"),
        [
            (["billing"], "One label is no choice"),
            ([], "One label is no choice"),
            (["a", "b", "a"], "Labels given twice: 'a'"),
            (["a", " "], "The label ' ' is not text"),
            (["a", 3], "The label 3 is not text"),
            ("billing", "the single text 'billing'"),
            ({"a", "b"}, "labels is a set"),
            ({"a": "x", "b": 3}, "The description of 'b' is 3"),
            ({"a": "x"}, "One label is no choice"),
            (None, "labels is a NoneType"),
            (["a", "a "], "Labels given twice: 'a'"),
            (["a", "b\nc"], "is not text"),
        ],
    )
    def test_labels_that_are_no_choice_are_refused(self, tickets: pd.DataFrame, labels: Any, problem: str) -> None:
        with pytest.raises(errors.InvalidLabels, match=problem):
            tickets.mistral.classify("text", labels)

    @pytest.mark.parametrize("max_words", [0, -3, 2.5, "15", True])
    def test_a_length_that_is_no_whole_number_is_refused(self, tickets: pd.DataFrame, max_words: Any) -> None:
        with pytest.raises(errors.InvalidOption, match="max_words is"):
            tickets.mistral.summarize("text", max_words=max_words)

    def test_an_unknown_model_is_named(self, api: FakeApi, tickets: pd.DataFrame) -> None:
        with pytest.raises(errors.UnknownModel, match="'mistral-smal-latest'"):
            tickets.mistral.classify("text", LABELS, model="mistral-smal-latest")


@pytest.mark.pandas_only("a process of its own")
def test_ctrl_c_stops_a_run_and_the_next_one_goes_on(api: FakeApi) -> None:
    """A process of its own is interrupted in the middle; what came back is not asked again."""
    script = f"""
import os, signal, pandas as pd, mistral_nb
from mistral_nb.engine import cache
kept = 0
put = cache.AnswerCache.put
def put_and_interrupt(self, answers):
    global kept
    put(self, answers)
    was_kept, kept = kept, kept + len(answers)
    if was_kept < 5 <= kept:
        os.kill(os.getpid(), signal.SIGINT)
cache.AnswerCache.put = put_and_interrupt
mistral_nb.configure(endpoint={api.url!r}, api_key={api.api_key!r})
try:
    pd.Series([f"bug {{n}}" for n in range(400)]).mistral.classify({LABELS!r}, rows_per_request=1)
except KeyboardInterrupt:
    print("interrupted")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    asked_before = set(text_of_users(api))
    api.reset()
    pd.Series([f"bug {number}" for number in range(400)]).mistral.classify(LABELS, rows_per_request=1)
    asked_twice = asked_before & set(text_of_users(api))

    assert (ended.stdout.strip(), len(asked_before) < 400, len(asked_twice) <= 64) == ("interrupted", True, True)
