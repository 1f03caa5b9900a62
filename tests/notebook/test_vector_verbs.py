"""embed, search, similar and moderate through the accessor. The fake API's vectors are near where texts share words."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.notebook import vector_runs
from mistral_nb.notebook.progress import FailedRowsWarning
from tests.engine.row_runs import Gate
from tests.fake_api import FakeApi, Fault, rules

pytestmark = pytest.mark.usefixtures("library")

TEXTS = ["late delivery of a parcel", "the invoice is wrong", None, "delivery was late", " "]
TOO_LONG = "word " * 9_000
ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"text": TEXTS, "product": list("abcde")}, index=[10, 11, 12, 11, 14])


def by_rule(text: str) -> list[float]:
    return np.float32(rules.embed(text, 1024)).tolist()


def cosine(one: str, other: str) -> float:
    return float(np.dot(by_rule(one), by_rule(other)))


class TestEmbed:
    def test_each_row_gets_its_vector_or_stays_missing(self, api: FakeApi, frame: pd.DataFrame) -> None:
        column = frame.mistral.embed("text")

        assert column.isna().tolist() == [False, False, True, False, True]
        assert [vector.tolist() for vector in column.dropna()] == [by_rule(TEXTS[row]) for row in (0, 1, 3)]

    def test_index_and_name_are_the_columns(self, api: FakeApi, frame: pd.DataFrame) -> None:
        column = frame.mistral.embed("text")

        assert (column.index.tolist(), column.name, column.dtype) == (frame.index.tolist(), "text", np.dtype(object))

    @pytest.mark.pandas_only("arrays")
    def test_the_numbers_are_32_bit_floats_that_can_not_be_written_to(self, api: FakeApi, frame: pd.DataFrame) -> None:
        vector = frame.mistral.embed("text").iloc[0]

        assert (vector.dtype, vector.flags.writeable) == (np.float32, False)

    def test_an_array_has_a_line_per_row(self, api: FakeApi, frame: pd.DataFrame) -> None:
        array = frame["text"].mistral.embed(as_array=True)

        assert (array.dtype, array.shape, np.isnan(array).all(axis=1).tolist()) == (
            np.float32, (5, 1024), [False, False, True, False, True],
        )  # fmt: skip
        assert array[3].tolist() == by_rule(TEXTS[3])

    def test_equal_texts_are_sent_once(self, api: FakeApi) -> None:
        pd.Series(["same"] * 5).mistral.embed()

        assert [request.body["input"] for request in api.requests] == [["same"]]

    def test_the_default_model_is_mistral_embed(self, api: FakeApi) -> None:
        pd.Series(["a"]).mistral.embed()

        assert api.requests[0].body["model"] == "mistral-embed"

    def test_details_say_who_answered(self, api: FakeApi) -> None:
        details = pd.Series(["some words", None]).mistral.embed(details=True)

        assert (details["model"].iloc[0], details["value"].isna().tolist()) == ("mistral-embed", [False, True])
        assert details["value"].iloc[0].tolist() == by_rule("some words")

    def test_a_text_that_is_too_long_is_missing_with_its_error(self, api: FakeApi) -> None:
        with pytest.warns(FailedRowsWarning, match="1 of 2 rows failed in embed"):
            column = pd.Series([TOO_LONG, "short"]).mistral.embed()

        assert column.isna().tolist() == [True, False]

    @ignores_failures
    def test_failed_rows_are_asked_again_by_retry(self, api: FakeApi) -> None:
        texts = pd.Series(["one", "two"])
        api.play(Fault(status=400, body={"message": "bad"}, times=3))
        texts.mistral.embed()
        column = texts.mistral.last_run.retry()

        assert [vector.tolist() for vector in column] == [by_rule("one"), by_rule("two")]

    def test_a_run_in_the_background_gives_the_same(self, api: FakeApi, frame: pd.DataFrame) -> None:
        run = frame.mistral.embed("text", background=True, as_array=True)

        np.testing.assert_array_equal(run.result(), frame.mistral.embed("text", as_array=True))

    def test_a_receipt_sends_nothing(self, api: FakeApi, frame: pd.DataFrame) -> None:
        receipt = frame.mistral.embed("text", dry_run=True)

        assert (receipt.requests, receipt.model, api.requests) == (1, "mistral-embed", [])

    @pytest.mark.parametrize("model", ["small", "mistral-large-latest", "moderation", "local-tiny"])
    def test_a_model_that_gives_no_vectors_is_refused(self, api: FakeApi, model: str) -> None:
        with pytest.raises(errors.NotSupported, match=r"gives no vectors.\n.*model='mistral-embed'"):
            pd.Series(["a"]).mistral.embed(model=model)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"as_array": 1}, "as_array is 1"),
            ({"as_array": True, "details": True}, "Leave one out"),
            ({"temperature": 1}, "There is no option temperature="),
        ],
    )
    def test_options_that_can_not_be_are_refused(self, api: FakeApi, options: dict[str, Any], said: str) -> None:
        with pytest.raises(errors.InvalidOption, match=said):
            pd.Series(["a"]).mistral.embed(**options)


class TestSearch:
    def test_the_nearest_rows_come_first(self, api: FakeApi, frame: pd.DataFrame) -> None:
        found = frame.mistral.search("text", "late delivery", k=2)

        assert found["text"].tolist() == [TEXTS[3], TEXTS[0]]
        np.testing.assert_allclose(
            found["similarity"], [cosine("late delivery", text) for text in found["text"]], rtol=1e-5
        )

    @pytest.mark.pandas_only("an index")
    def test_the_index_is_the_rows(self, api: FakeApi, frame: pd.DataFrame) -> None:
        found = frame.mistral.search("text", "late delivery")

        assert found.index.tolist() == frame.index[found["position"]].tolist()

    def test_positions_give_the_whole_rows(self, api: FakeApi, frame: pd.DataFrame) -> None:
        found = frame.mistral.search("text", "late delivery", k=2)

        assert frame.iloc[found["position"]]["product"].tolist() == ["d", "a"]

    def test_rows_without_text_are_never_found(self, api: FakeApi, frame: pd.DataFrame) -> None:
        assert len(frame.mistral.search("text", "anything", k=100)) == 3

    def test_equal_rows_are_all_found(self, api: FakeApi) -> None:
        found = pd.Series(["late", "other", "late"]).mistral.search("late", k=2)

        assert found["position"].tolist() == [0, 2]

    def test_the_query_goes_along_with_the_rows(self, api: FakeApi, frame: pd.DataFrame) -> None:
        frame.mistral.search("text", "late delivery")

        assert [len(request.body["input"]) for request in api.requests] == [4]

    def test_another_query_asks_for_nothing_but_itself(self, api: FakeApi, frame: pd.DataFrame) -> None:
        frame.mistral.embed("text")
        frame.mistral.search("text", "late delivery")

        assert api.requests[-1].body["input"] == ["late delivery"]

    def test_a_column_without_a_name_is_called_text(self, api: FakeApi) -> None:
        assert pd.Series(["a"]).mistral.search("a").columns.tolist() == ["text", "similarity", "position"]

    @pytest.mark.parametrize("name", ["similarity", "position"])
    def test_a_column_with_the_name_of_another_is_called_text(self, api: FakeApi, name: str) -> None:
        found = pd.DataFrame({name: ["late", "other"]}).mistral.search(name, "late", k=1)

        assert (found.columns.tolist(), found["text"].tolist()) == (["text", "similarity", "position"], ["late"])

    def test_nothing_is_found_in_nothing_and_nothing_is_sent(self, api: FakeApi) -> None:
        found = pd.Series([None, ""], dtype="object").mistral.search("anything")

        assert (len(found), found.columns.tolist(), api.requests) == (0, ["text", "similarity", "position"], [])

    @ignores_failures
    def test_a_row_that_failed_is_not_found_and_the_others_are(self, api: FakeApi) -> None:
        assert pd.Series([TOO_LONG, "short"]).mistral.search("short")["position"].tolist() == [1]

    def test_a_search_that_is_cancelled_finds_nothing(self, api: FakeApi, frame: pd.DataFrame) -> None:
        gate = Gate(api)
        run = frame.mistral.search("text", "late delivery", background=True)
        gate.wait_for(1)
        run.cancel()
        gate.open()

        assert len(run.result()) == 0

    def test_a_failure_is_told_of_the_verb_that_was_called(self, api: FakeApi) -> None:
        with pytest.warns(FailedRowsWarning, match="1 of 2 rows failed in search"):
            pd.Series([TOO_LONG, "short"]).mistral.search("short")

    def test_the_receipt_and_the_ledger_name_the_verb_that_was_called(self, api: FakeApi) -> None:
        texts = pd.Series(["short"])
        receipt = texts.mistral.search("late", dry_run=True)
        texts.mistral.search("late")

        assert "Receipt for search" in str(receipt)
        assert [record.verb for record in mistral_nb.session().ledger.records()] == ["search"]

    @ignores_failures
    def test_a_query_that_fails_is_raised(self, api: FakeApi) -> None:
        with pytest.raises(errors.PromptTooLong):
            pd.Series(["short"]).mistral.search(TOO_LONG)

    @pytest.mark.parametrize("k", [0, -1, 2.5, True, "5"])
    def test_k_is_a_whole_number_from_1_up(self, api: FakeApi, frame: pd.DataFrame, k: Any) -> None:
        with pytest.raises(errors.InvalidOption, match=f"k is {k!r}.\n.*k=15"):
            frame.mistral.search("text", "late", k=k)

    @pytest.mark.parametrize("query", ["", " \n"])
    def test_a_blank_query_is_refused(self, api: FakeApi, frame: pd.DataFrame, query: str) -> None:
        with pytest.raises(errors.EmptyPrompt, match="query is blank"):
            frame.mistral.search("text", query)

    def test_a_query_that_is_no_text_is_refused(self, api: FakeApi, frame: pd.DataFrame) -> None:
        with pytest.raises(errors.InvalidOption, match=r"query is \['late'\]"):
            frame.mistral.search("text", ["late"])

    def test_very_many_rows_are_compared_with_a_word_on_indices(
        self, api: FakeApi, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(vector_runs, "MOST_COMPARED_ONE_BY_ONE", 3)
        with pytest.warns(UserWarning, match="An index"):
            frame.mistral.search("text", "late delivery")


class TestSimilar:
    def test_the_texts_of_a_row_are_compared(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"one": ["late delivery", "a bug"], "two": ["delivery was late", "praise"]}, index=[5, 5])
        column = frame.mistral.similar("one", to="two")

        expected = [cosine(one, two) for one, two in zip(frame["one"], frame["two"], strict=True)]
        np.testing.assert_allclose(column, expected, atol=1e-6)
        assert (column.index.tolist(), column.name, column.dtype) == ([5, 5], "one", pd.Float64Dtype())

    def test_a_row_that_lacks_one_of_them_is_missing(self, api: FakeApi) -> None:
        one = pd.Series(["a", None, "c", " "])
        column = one.mistral.similar(to=pd.Series(["a", "b", None, None]))

        assert column.isna().tolist() == [False, True, True, True]

    def test_one_text_is_compared_with_every_row(self, api: FakeApi) -> None:
        texts = pd.Series(["late delivery", None, "a bug"])
        column = texts.mistral.similar(to="delivery was late")

        assert column.isna().tolist() == [False, True, False]
        assert column[0] == pytest.approx(cosine("late delivery", "delivery was late"), abs=1e-6)

    def test_a_text_of_both_columns_is_sent_once(self, api: FakeApi) -> None:
        pd.Series(["a", "b"]).mistral.similar(to=pd.Series(["b", "a"]))

        assert [request.body["input"] for request in api.requests] == [["a", "b"]]

    def test_a_text_whose_row_lacks_the_other_is_not_sent(self, api: FakeApi) -> None:
        pd.Series(["a", "b", None]).mistral.similar(to=pd.Series(["c", None, "d"]))

        assert [request.body["input"] for request in api.requests] == [["a", "c"]]

    def test_details_have_a_line_per_row_whose_sums_are_the_bill(self, priced: FakeApi) -> None:
        frame = pd.DataFrame({"one": ["late delivery", None, "a bug"], "two": ["delivery was late", "b", "a bug"]})
        details = frame.mistral.similar("one", to="two", details=True)
        result = frame.mistral.last_run.result

        assert details["value"].isna().tolist() == [False, True, False]
        assert details["model"].dropna().tolist() == ["mistral-embed"] * 2
        assert details["prompt_tokens"].sum() == result.usage.prompt_tokens
        assert details["cost_usd"].sum() == pytest.approx(float(result.cost_usd))

    def test_details_say_what_was_kept(self, api: FakeApi) -> None:
        texts = pd.Series(["a", "b", "a"])
        texts.mistral.similar(to="late")
        details = texts.mistral.similar(to="late", details=True)

        assert (details["from_cache"].all(), details["model"].tolist()) == (True, ["mistral-embed"] * 3)

    @pytest.mark.parametrize("to", ["short", pd.Series(["a", TOO_LONG, "short"])], ids=["a text", "a column"])
    def test_a_row_that_failed_is_counted_and_listed_once(self, api: FakeApi, to: Any) -> None:
        texts = pd.Series([TOO_LONG, TOO_LONG + "too", "short"])
        with pytest.warns(FailedRowsWarning, match="2 of 3 rows failed in similar"):
            column = texts.mistral.similar(to=to)

        assert column.isna().tolist() == [True, True, False]
        assert (len(texts.mistral.last_run.failed), texts.mistral.last_run.progress.done) == (2, 3)

    @ignores_failures
    def test_failed_rows_are_compared_again_by_retry(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"one": ["late", None, "other"], "two": ["late", "b", "other"]}, index=[5, 5, 5])
        api.play(Fault(status=400, body={"message": "bad"}, times=3))
        before = frame.mistral.similar("one", to="two")
        column = frame.mistral.last_run.retry()

        assert before.isna().all()
        assert column.isna().tolist() == [False, True, False]
        np.testing.assert_allclose(column.dropna().astype(float), [1, 1], atol=1e-6)

    def test_the_receipt_counts_rows_and_texts(self, api: FakeApi) -> None:
        texts = pd.Series(["a", "b", None])
        texts.iloc[:1].mistral.embed()
        receipt = texts.mistral.similar(to=pd.Series(["c", "b", "d"]), dry_run=True)

        assert (receipt.verb, receipt.rows, receipt.missing, receipt.unique, receipt.cached) == ("similar", 3, 1, 3, 1)

    def test_masked_texts_of_both_columns_stay_here(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"one": ["mail ada@example.org", None], "two": ["ask bob@example.org", "x"]})
        details = frame.mistral.similar("one", to="two", mask=True, details=True)

        assert "@example.org" not in str([request.body for request in api.requests])
        assert frame.mistral.last_run.masked.counts == {"EMAIL": 2}
        assert details["model"].dropna().tolist() == ["mistral-embed"]

    def test_it_gives_the_same_in_the_background(self, api: FakeApi) -> None:
        texts = pd.Series(["late", None])

        assert (
            texts.mistral.similar(to="was late", background=True).result().equals(texts.mistral.similar(to="was late"))
        )

    @pytest.mark.pandas_only("an index")
    def test_columns_with_other_indices_are_not_compared(self, api: FakeApi) -> None:
        with pytest.raises(errors.InvalidOption, match=r"different indices, of 2 and 2 rows.\n.*reindex"):
            pd.Series(["a", "b"]).mistral.similar(to=pd.Series(["a", "b"], index=[1, 0]))

    def test_a_column_that_is_not_text_is_refused_under_its_own_name(self, api: FakeApi) -> None:
        frame = pd.DataFrame({"text": ["a"], "price": [1.5]})
        with pytest.raises(errors.NotText, match="'price'"):
            frame.mistral.similar("text", to="price")

    def test_a_column_that_there_is_not_is_refused(self, api: FakeApi, frame: pd.DataFrame) -> None:
        with pytest.raises(errors.UnknownColumn, match="'textt'"):
            frame.mistral.similar("text", to="textt")

    @pytest.mark.parametrize(("to", "error"), [(" ", errors.EmptyPrompt), (3, errors.InvalidOption)])
    def test_anything_else_is_refused(self, api: FakeApi, to: Any, error: type[Exception]) -> None:
        with pytest.raises(error):
            pd.Series(["a"]).mistral.similar(to=to)


class TestModerate:
    def test_each_category_has_a_claim_and_a_score(self, api: FakeApi) -> None:
        found = pd.Series(["I will punch you", None, "a nice day"], index=[4, 5, 6]).mistral.moderate()

        assert found["violence_and_threats"].tolist() == [True, pd.NA, False]
        assert found["violence_and_threats_score"].round(2).tolist()[0] == 0.98
        assert (found.index.tolist(), len(found.columns)) == ([4, 5, 6], 2 * len(rules.FLAGGING_WORDS))

    def test_the_columns_are_named_as_the_api_names_them(self, api: FakeApi) -> None:
        columns = pd.Series(["a"]).mistral.moderate().columns.tolist()

        assert columns == [name for category in rules.FLAGGING_WORDS for name in (category, f"{category}_score")]

    def test_claims_are_boolean_and_scores_numbers(self, api: FakeApi) -> None:
        dtypes = pd.Series(["a"]).mistral.moderate().dtypes

        assert [str(dtype) for dtype in dtypes.iloc[:2]] == ["boolean", "Float64"]

    def test_a_category_that_only_later_models_name_has_its_columns_too(self, api: FakeApi) -> None:
        results = [{"categories": {"new": True}, "category_scores": {"new": 0.75}}]
        api.play(Fault(status=200, body={"model": "m", "results": results}))
        found = pd.Series(["a"]).mistral.moderate()

        assert found.to_dict("list") == {"new": [True], "new_score": [0.75]}

    def test_without_any_answer_the_columns_are_the_same(self, api: FakeApi) -> None:
        nothing = pd.Series([None], dtype="object").mistral.moderate()

        assert nothing.columns.tolist() == pd.Series(["a"]).mistral.moderate().columns.tolist()

    @ignores_failures
    def test_failed_rows_are_asked_again_by_retry(self, api: FakeApi) -> None:
        texts = pd.Series(["I will punch you"])
        api.play(Fault(status=400, body={"message": "bad"}))
        texts.mistral.moderate()

        assert texts.mistral.last_run.retry()["violence_and_threats"].tolist() == [True]

    def test_it_costs_nothing(self, api: FakeApi) -> None:
        assert mistral_nb.session().cost_usd("moderation", mistral_nb.TokenUsage(prompt_tokens=1_000)) in (0, None)

    @pytest.mark.usefixtures("embedded")
    def test_the_embedded_models_can_not_and_say_what_would_help(self) -> None:
        with pytest.raises(errors.NotSupported, match="needs a key"):
            pd.Series(["a"]).mistral.moderate()


@pytest.mark.usefixtures("embedded")
class TestEmbedded:
    def test_a_row_is_found_by_what_it_means(self) -> None:
        texts = pd.Series(["I was charged twice for it", "The parcel never came", "The app crashes at the start"])

        assert texts.mistral.search("my package is missing", k=1)["position"].tolist() == [1]

    def test_texts_that_mean_the_same_are_nearer_than_others(self) -> None:
        texts = pd.DataFrame({"one": ["It is broken"] * 2, "two": ["It does not work", "We like bananas"]})
        same, other = texts.mistral.similar("one", to="two")

        assert same > other
