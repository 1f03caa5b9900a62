"""``answer`` through the accessor. The fake API's vectors are near where texts share words."""

import json
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.notebook import retrieval
from tests.engine.row_runs import Gate
from tests.fake_api import FakeApi, Fault

pytestmark = pytest.mark.usefixtures("library")

QUESTION = "why do people leave"
TEXTS = ["people leave when late", "a lovely app", None, "people leave", "people leave", "nothing to do with it"]


@pytest.fixture
def texts() -> pd.Series:
    return pd.Series(TEXTS, index=list("abcdef"), name="review")


def chats(api: FakeApi) -> list[Any]:
    return [request for request in api.requests if request.path == "/v1/chat/completions"]


def says(api: FakeApi, content: str) -> None:
    api.play(Fault(content=content, path="/v1/chat/completions"))


class TestAnswer:
    def test_the_model_reads_the_nearest_texts_and_the_question(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.answer(QUESTION, k=2)

        assert chats(api)[0].text == f'Texts:\n[1] "people leave"\n[2] "people leave when late"\n\nQuestion: {QUESTION}'

    def test_the_answer_is_what_the_model_says(self, api: FakeApi, texts: pd.Series) -> None:
        says(api, "They come late [2].")

        assert str(texts.mistral.answer(QUESTION, k=2)) == "They come late [2]."

    def test_the_sources_are_the_rows_that_were_read(self, api: FakeApi, texts: pd.Series) -> None:
        says(api, "They do.")
        sources = texts.mistral.answer(QUESTION, k=2).sources

        assert sources.drop(columns="similarity").to_dict("index") == {
            "d": {"number": 1, "review": "people leave", "rows": 2, "position": 3, "is_cited": False},
            "a": {"number": 2, "review": "people leave when late", "rows": 1, "position": 0, "is_cited": False},
        }
        assert sources["similarity"].is_monotonic_decreasing

    def test_those_that_the_answer_names_are_told(self, api: FakeApi, texts: pd.Series) -> None:
        says(api, "They come late [2].")

        assert texts.mistral.answer(QUESTION, k=2).cited["review"].tolist() == ["people leave when late"]

    @pytest.mark.parametrize("name", ["number", "similarity", "rows", "position", "is_cited"])
    def test_a_column_with_the_name_of_another_is_called_text(self, api: FakeApi, texts: pd.Series, name: str) -> None:
        says(api, "They come late [2].")
        answer = texts.rename(name).mistral.answer(QUESTION, k=2)

        assert answer.sources.columns.tolist() == ["number", "text", "similarity", "rows", "position", "is_cited"]
        assert answer.cited["text"].tolist() == ["people leave when late"]
        assert "names 2 of the 2 texts" in repr(answer)

    def test_the_frame_door_takes_the_question_first(self, api: FakeApi, texts: pd.Series) -> None:
        by_frame = texts.to_frame().mistral.answer(QUESTION, "review", k=2)

        assert by_frame.text == texts.mistral.answer(QUESTION, k=2).text

    def test_a_question_asked_again_costs_nothing(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.answer(QUESTION, k=2)
        before = len(api.requests)
        texts.mistral.answer(QUESTION, k=2)

        assert len(api.requests) == before

    def test_vectors_are_shared_with_search(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.search(QUESTION)
        texts.mistral.answer(QUESTION)

        assert len(api.requests) == 2

    def test_what_does_not_fit_is_left_out_the_least_near_first(
        self, api: FakeApi, texts: pd.Series, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retrieval, "window_tokens", lambda model, session: 100)

        assert texts.mistral.answer(QUESTION).sources["review"].tolist() == ["people leave"]

    def test_it_is_shown_escaped_with_what_was_read(self, api: FakeApi, texts: pd.Series) -> None:
        says(api, "They <script>alert(1)</script> leave [1].")
        answer = texts.mistral.answer(QUESTION, k=2)
        html = answer._repr_mimebundle_()["text/html"]

        assert ("<script>" in html, "names 1 of the 2 texts it read" in html) == (False, True)

    def test_a_run_in_the_background_gives_the_same(self, api: FakeApi, texts: pd.Series) -> None:
        run = texts.mistral.answer(QUESTION, k=2, background=True)

        assert run.result().text == texts.mistral.answer(QUESTION, k=2).text

    def test_options_reach_the_model(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.answer(QUESTION, model="large", temperature=0.5, max_words=7, instructions="Answer in French.")
        body = chats(api)[0].body

        assert (body["model"], body["temperature"]) == ("mistral-large-latest", 0.5)
        assert "at most 7 words" in body["messages"][0]["content"]
        assert body["messages"][0]["content"].endswith("Answer in French.")

    def test_the_last_run_holds_the_vectors_and_the_whole_bill(self, api: FakeApi, texts: pd.Series) -> None:
        texts.mistral.answer(QUESTION)
        run = texts.mistral.last_run

        assert (run.result.verb, run.result.requests, len(run.column.dropna())) == ("answer", 2, 5)


class TestMoney:
    def test_the_price_is_that_of_both_runs(self, priced: FakeApi, texts: pd.Series) -> None:
        answer = texts.mistral.answer(QUESTION)
        spent = mistral_nb.usage(by=["model"])["cost_usd"].sum()

        assert answer.cost_usd is not None
        assert float(answer.cost_usd) == pytest.approx(float(spent))

    def test_the_receipt_counts_both_and_sends_nothing(self, priced: FakeApi, texts: pd.Series) -> None:
        receipt = texts.mistral.answer(QUESTION, dry_run=True)

        assert (receipt.verb, receipt.rows, receipt.unique, receipt.requests) == ("answer", 6, 4, 2)
        assert receipt.cost_usd_most >= receipt.cost_usd_expected > 0
        assert priced.requests == []

    def test_a_budget_holds_for_both(self, priced: FakeApi, texts: pd.Series) -> None:
        with pytest.raises(errors.BudgetReached):
            texts.mistral.answer(QUESTION, budget_usd=0.00001)

        assert chats(priced) == []

    def test_a_budget_without_a_price_is_refused_before_anything_is_sent(self, api: FakeApi, texts: pd.Series) -> None:
        with pytest.raises(errors.UnknownPrice):
            texts.mistral.answer(QUESTION, budget_usd=1)

        assert api.requests == []


class TestMasked:
    def test_no_secret_is_sent_and_the_answer_has_it(self, api: FakeApi) -> None:
        texts = pd.Series(["people leave anna@example.org", "leave ben@example.org"])
        says(api, "Write to [EMAIL_2] [2] or [EMAIL_1] [1].")
        answer = texts.mistral.answer("why leave anna@example.org", mask=True)
        sent = json.dumps([request.body for request in api.requests])

        assert ("anna" in sent, "ben" in sent) == (False, False)
        assert answer.text == "Write to ben@example.org [2] or anna@example.org [1]."
        assert (answer.question, sorted(answer.sources["text"])) == ("why leave anna@example.org", sorted(texts))

    def test_a_placeholder_means_the_same_in_all_that_is_read(self, api: FakeApi) -> None:
        pd.Series(["x anna@example.org", "x ben@example.org y"]).mistral.answer("x ben@example.org", mask=True)

        assert chats(api)[0].text == 'Texts:\n[1] "x [EMAIL_2]"\n[2] "x [EMAIL_1] y"\n\nQuestion: x [EMAIL_1]'


class TestFailures:
    def test_an_answer_that_did_not_come_is_raised(self, api: FakeApi, texts: pd.Series) -> None:
        api.play(Fault(content="cut", finish_reason="length", path="/v1/chat/completions"))
        with pytest.raises(errors.TruncatedAnswer):
            texts.mistral.answer(QUESTION)

    def test_a_column_without_text_is_refused(self, api: FakeApi) -> None:
        with pytest.raises(errors.EmptyPrompt, match="has no text to answer from"):
            pd.Series([None, " "], dtype="object").mistral.answer(QUESTION)

    @pytest.mark.filterwarnings("ignore::mistral_nb.notebook.progress.FailedRowsWarning")
    def test_where_no_text_could_be_embedded_the_reason_is_raised(self, api: FakeApi) -> None:
        with pytest.raises(errors.PromptTooLong):
            pd.Series(["word " * 9_000]).mistral.answer(QUESTION)

    @pytest.mark.parametrize(
        ("question", "options", "error"),
        [
            (" ", {}, errors.EmptyPrompt),
            (5, {}, errors.InvalidOption),
            ("why", {"k": 0}, errors.InvalidOption),
            ("why", {"max_words": 0}, errors.InvalidOption),
            ("why", {"instructions": ""}, errors.InvalidOption),
            ("why", {"embedding_model": "small"}, errors.NotSupported),
            ("why", {"details": True}, errors.InvalidOption),
        ],
    )
    def test_what_can_not_be_is_refused_before_anything_is_sent(
        self, api: FakeApi, texts: pd.Series, question: Any, options: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            texts.mistral.answer(question, **options)

        assert api.requests == []

    def test_a_run_that_is_cancelled_gives_no_answer(self, api: FakeApi, texts: pd.Series) -> None:
        gate = Gate(api)
        run = texts.mistral.answer(QUESTION, background=True)
        gate.wait_for(1)
        run.cancel()
        gate.open()

        assert (run.result(), chats(api)) == (None, [])


@pytest.mark.usefixtures("embedded")
def test_the_embedded_model_answers_from_the_nearest_texts() -> None:
    texts = pd.Series(["The parcel was late, so I left.", "We like bananas."])
    answer = texts.mistral.answer("Why do people leave?", k=1, max_words=30)

    assert (bool(answer.text), answer.sources["position"].tolist(), answer.model) == (True, [0], "local-tiny")
