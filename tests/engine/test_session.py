import subprocess
import sys
import threading
from decimal import Decimal
from typing import Any

import pytest

import mistral_nb
from mistral_nb import errors
from mistral_nb.completion import TokenUsage
from tests.fake_api import FakeApi, Fault


def test_a_question_is_answered(api: FakeApi) -> None:
    assert mistral_nb.session().complete("Hello").text == "Answer to: Hello"


def test_a_conversation_is_sent_as_it_is(api: FakeApi) -> None:
    turns = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
        {"role": "user", "content": "Bye"},
    ]
    mistral_nb.session().complete(turns)

    assert [(sent["role"], sent["content"]) for sent in api.requests[0].body["messages"]] == [
        (turn["role"], turn["content"]) for turn in turns
    ]


def test_options_reach_the_api_by_their_own_names(api: FakeApi) -> None:
    mistral_nb.session().complete("Hello", stop="END", top_p=0.5, safe_prompt=True)

    body = api.requests[0].body
    assert (body["stop"], body["top_p"], body["safe_prompt"]) == (["END"], 0.5, True)


def test_a_misspelt_option_is_named_by_the_api(api: FakeApi) -> None:
    with pytest.raises(errors.MistralNotebookError, match="max_tokenz"):
        mistral_nb.session().complete("Hello", max_tokenz=5)


def test_a_short_name_means_the_apis_alias(api: FakeApi) -> None:
    mistral_nb.session().complete("Hello", model="large")

    assert api.requests[0].body["model"] == "mistral-large-latest"


@pytest.mark.parametrize("prompt", ["", " \n", []])
def test_an_empty_prompt_is_not_sent(api: FakeApi, prompt: str) -> None:
    with pytest.raises(errors.EmptyPrompt):
        mistral_nb.session().complete(prompt)
    assert api.requests == []


def test_a_stream_gives_the_same_answer_piece_by_piece(api: FakeApi) -> None:
    session = mistral_nb.session()

    assert "".join(delta.text for delta in session.stream(session.request("Hello"))) == "Answer to: Hello"


def test_a_text_can_be_streamed_without_making_a_request_first(api: FakeApi) -> None:
    assert "".join(delta.text for delta in mistral_nb.session().stream("Hello", model="large")) == "Answer to: Hello"


@pytest.mark.parametrize("prompt", [None, 3, {"role": "user"}, ["Hello"]])
def test_a_prompt_of_another_form_is_refused(prompt: Any) -> None:
    with pytest.raises(errors.InvalidOption, match="Give a text, or messages"):
        mistral_nb.session().complete(prompt)


def test_a_single_text_is_not_taken_for_a_list_of_letters() -> None:
    with pytest.raises(errors.InvalidOption, match="Give a list of texts"):
        mistral_nb.session().embed("hello")


def test_moderation_is_hosted_even_where_a_local_model_answers(api: FakeApi) -> None:
    mistral_nb.configure(model="local-tiny")

    assert len(mistral_nb.session().moderate(["x"], model="moderation")) == 1


def test_a_price_is_unknown_where_another_server_answers(api: FakeApi) -> None:
    assert mistral_nb.session().cost_usd("small", TokenUsage(prompt_tokens=1)) is None


def test_changed_settings_cut_no_call_that_is_under_way(api: FakeApi) -> None:
    api.play(Fault(delay_seconds=0.5))
    session = mistral_nb.session()
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(session.complete("Hello").text))
    asking.start()
    while not api.stats.in_flight:
        pass
    mistral_nb.configure(region="eu")
    mistral_nb.session()
    asking.join()

    assert (answers, len(api.requests)) == (["Answer to: Hello"], 1)


class TestAScriptThatEndsWithAStreamLeftOpen:
    @pytest.fixture
    def said(self, api: FakeApi) -> str:
        """Return what such a script writes to stderr."""
        script = (
            "import mistral_nb\n"
            f"mistral_nb.configure(endpoint={api.url!r}, api_key={api.api_key!r})\n"
            "stream = mistral_nb.session().stream('Hello you there')\n"
            "print(next(stream).text)"
        )
        command = [sys.executable, "-W", "default::ResourceWarning", "-c", script]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr

    def test_says_nothing(self, said: str) -> None:
        assert said == ""

    def test_has_it_in_the_ledger(self, said: str) -> None:
        assert len(mistral_nb.usage().requests) == 1


def test_a_stream_that_fails_before_its_first_piece_is_tried_again(api: FakeApi) -> None:
    api.play(Fault(status=503, body="{}", times=2))
    session = mistral_nb.session()

    assert "".join(delta.text for delta in session.stream(session.request("Hello"))) == "Answer to: Hello"


def test_a_stream_that_breaks_after_its_first_piece_is_not_started_again(api: FakeApi) -> None:
    api.play(Fault(error_frame_in_stream=True, frames_before_error=2))
    session = mistral_nb.session()

    with pytest.raises(errors.MistralNotebookError):
        list(session.stream(session.request("Hello you there")))
    assert len(api.requests) == 1


def test_vectors_come_back_in_the_order_of_the_texts(api: FakeApi) -> None:
    session = mistral_nb.session()
    there = session.embed(["one", "two", "three"]).vectors
    back = session.embed(["three", "two", "one"]).vectors

    assert there == back[::-1]


def test_moderation_gives_a_claim_and_a_score_for_each_category(api: FakeApi) -> None:
    (result,) = mistral_nb.session().moderate(["a kind text"])

    assert result.flagged.keys() == result.scores.keys()


def test_code_is_filled_in(api: FakeApi) -> None:
    mistral_nb.session().fill_in_middle("def f(x):", "return y")

    assert api.requests[0].body["suffix"] == "return y"


def test_models_are_those_that_the_endpoint_offers(api: FakeApi) -> None:
    assert "mistral-small-2603" in {model.id for model in mistral_nb.session().models()}


def test_a_hosted_model_without_a_key_says_what_to_do() -> None:
    with pytest.raises(errors.MissingKey, match="MISTRAL_API_KEY"):
        mistral_nb.session().complete("Hello", model="mistral-small-latest")


def test_an_embedded_model_costs_nothing() -> None:
    assert mistral_nb.session().cost_usd("local-small", TokenUsage(prompt_tokens=10**9)) == 0


def test_a_hosted_model_costs_what_its_region_charges() -> None:
    mistral_nb.configure(region="eu")

    assert mistral_nb.session().cost_usd("small", TokenUsage(prompt_tokens=10**6)) == Decimal("0.165")


def test_all_doors_share_one_session() -> None:
    assert mistral_nb.session() is mistral_nb.session()


def test_changed_settings_give_a_new_session() -> None:
    before = mistral_nb.session()
    mistral_nb.configure(region="eu")

    assert mistral_nb.session() is not before


def test_who_goes_on_with_a_session_of_other_settings_is_told(api: FakeApi) -> None:
    before = mistral_nb.session()
    mistral_nb.configure(budget_usd_per_session=1)
    with pytest.warns(UserWarning, match="budgets and keys that were set since do not hold") as caught:
        before.complete("Hello")

    assert caught[0].filename == __file__


def test_a_changed_environment_gives_a_new_session(monkeypatch: pytest.MonkeyPatch) -> None:
    before = mistral_nb.session()
    monkeypatch.setenv("MISTRAL_NB_MODEL", "local-tiny")

    assert mistral_nb.session() is not before


def test_a_session_of_its_own_can_be_closed(api: FakeApi) -> None:
    with mistral_nb.Session(mistral_nb.configure()) as session:
        session.complete("Hello")

    assert api.stats.in_flight == 0


def test_several_threads_may_ask_at_once(api: FakeApi) -> None:
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(mistral_nb.session().complete(f"row {n}").text))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(answers) == [f"Answer to: row {n}" for n in range(8)]
