"""With configure(moderate=…) the moderation model stands at every door, before anything is sent, shown or kept."""

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.completion import CompletionRequest, Moderation
from mistral_nb.engine.moderated import new_texts
from mistral_nb.errors import InvalidKey, InvalidOption, MissingKey, NotSupported, Refused
from mistral_nb.moderation_policy import ModerationPolicy
from tests.fake_api import FakeApi, Fault

BAD = "I will attack you"  # FLAGGING_WORDS of the fake API
CHAT, MODERATIONS = "/v1/chat/completions", "/v1/moderations"
LABELS = ["billing", "delivery"]
ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.FailedRowsWarning")


def paths(api: FakeApi) -> list[str]:
    return [request.path for request in api.requests]


def stream(prompt: str) -> str:
    return "".join(delta.text for delta in mistral_nb.session().stream(prompt))


DOORS: dict[str, Callable[[str], Any]] = {
    "complete": lambda prompt: mistral_nb.session().complete(prompt),
    "stream": stream,
    "schema": lambda prompt: mistral_nb.session().complete(prompt, schema=list[str]),
    "fill_in_middle": lambda prompt: mistral_nb.session().fill_in_middle(prompt),
    "tools": lambda prompt: mistral_nb.chat_with_tools(
        prompt, tools=[mistral_nb.frame_tools(pd.DataFrame({"a": [1]}))]
    ),
}


class TestVectors:
    def test_a_text_that_is_refused_gets_none_and_is_not_sent(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input")
        with pytest.raises(Refused, match="so it was not sent"):
            mistral_nb.session().embed(["fine", BAD])

        assert paths(api) == [MODERATIONS]

    @ignores_failures
    def test_of_rows_only_those_are_refused(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input")
        vectors = pd.Series(["fine", BAD, "also fine"]).mistral.embed()

        assert vectors.isna().tolist() == [False, True, False]

    def test_what_is_to_be_moderated_is_asked_of_the_moderation_model_alone(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="both")
        pd.Series([BAD]).mistral.moderate()

        assert paths(api) == [MODERATIONS]


class TestInput:
    @pytest.mark.parametrize("door", DOORS)
    def test_what_is_refused_is_not_sent(self, api: FakeApi, door: str) -> None:
        mistral_nb.configure(moderate="input")
        with pytest.raises(Refused, match=r"so it was not sent: violence_and_threats 0\.98") as caught:
            DOORS[door](BAD)

        assert paths(api) == [MODERATIONS]
        assert (caught.value.categories, caught.value.scores) == (
            ("violence_and_threats",),
            {"violence_and_threats": 0.98},
        )

    @pytest.mark.parametrize("door", ["complete", "stream"])
    def test_what_passes_is_answered(self, api: FakeApi, door: str) -> None:
        mistral_nb.configure(moderate="input")

        assert str(DOORS[door]("Hello"))
        assert paths(api) == [MODERATIONS, CHAT]

    @ignores_failures
    def test_of_rows_only_those_are_refused(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input")
        rows = pd.Series(["a billing question", BAD, "a delivery question"])
        answers = rows.mistral.classify(LABELS)

        assert answers.isna().tolist() == [False, True, False]
        assert paths(api).count(CHAT) == 2

    def test_without_it_nothing_is_moderated(self, api: FakeApi) -> None:
        mistral_nb.session().complete(BAD)

        assert paths(api) == [CHAT]


class TestOutput:
    @pytest.mark.parametrize("door", ["complete", "stream", "tools"])
    def test_what_is_refused_is_not_shown(self, api: FakeApi, door: str) -> None:
        mistral_nb.configure(moderate="output")
        api.play(Fault(content=BAD, path=CHAT))

        with pytest.raises(Refused, match="so it is withheld: violence_and_threats") as caught:
            DOORS[door]("Hello")
        assert "attack" not in f"{caught.value}{vars(caught.value)}"

    def test_a_call_of_a_tool_whose_arguments_are_refused_is_not_made(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="output")
        called: list[str] = []

        @mistral_nb.tool
        def weather(city: str) -> str:
            """Return the weather."""
            called.append(city)
            return "sunny"

        with pytest.raises(Refused, match="so it is withheld"):
            mistral_nb.chat_with_tools("What is the weather in Attack?", tools=[weather])
        assert called == []

    def test_no_piece_of_a_streamed_answer_comes_before_it_passed(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="output")
        api.play(Fault(content=f"At first all is well. {BAD}", path=CHAT))
        pieces = mistral_nb.session().stream("Hello")

        with pytest.raises(Refused):
            next(pieces)

    def test_a_streamed_answer_that_passes_comes_whole(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="both")
        api.play(Fault(content="All is well, and stays so.", path=CHAT))

        assert stream("Hello") == "All is well, and stays so."

    def test_a_withheld_answer_is_on_the_bill_and_in_the_ledger_as_refused(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="output")
        api.play(Fault(content=BAD, path=CHAT))
        with pytest.raises(Refused):
            mistral_nb.session().complete("Hello")
        chats = [record for record in mistral_nb.session().ledger.records() if record.operation == "chat"]

        assert [(record.error, record.completion_tokens > 0) for record in chats] == [("Refused", True)]

    @ignores_failures
    def test_of_rows_only_those_are_missing_and_counted_as_refused(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="output")
        api.play(Fault(content=BAD, path=CHAT, when="the second"))
        summaries = pd.Series(["the first", "the second"]).mistral.summarize()
        run = mistral_nb.session().last_run
        assert run is not None

        assert summaries.isna().tolist() == [False, True]
        assert (run.progress.refused, run.failed["error"].tolist()) == (1, ["Refused"])
        assert "1 failed (1 refused)" in str(run)

    @ignores_failures
    def test_a_refused_row_was_paid_for_once(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="output")
        api.play(Fault(content=BAD, path=CHAT, when="the second"))
        pd.Series(["the second"]).mistral.summarize()
        run = mistral_nb.session().last_run
        assert run is not None

        assert (run.result.requests, run.result.usage.completion_tokens > 0) == (1, True)


class TestThresholds:
    def test_a_threshold_lets_more_pass(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input", moderation_thresholds={"violence_and_threats": 0.99})

        assert mistral_nb.session().complete(BAD).text

    def test_a_threshold_lets_less_pass(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input", moderation_thresholds={"sexual": 0.0})

        with pytest.raises(Refused, match="sexual"):
            mistral_nb.session().complete("Hello")

    def test_the_line_that_lets_a_text_pass_is_in_the_remedy(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input")
        with pytest.raises(Refused) as caught:
            mistral_nb.session().complete(BAD)
        exec(caught.value.remedy.partition(": ")[2])

        assert mistral_nb.session().complete(BAD).text

    def test_a_category_that_there_is_not_is_named(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input", moderation_thresholds={"violance": 0.5})

        with pytest.raises(InvalidOption, match="no category 'violance'"):
            mistral_nb.session().complete("Hello")

    def test_the_environment_may_say_it(self, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MISTRAL_NB_MODERATE", "input")
        monkeypatch.setenv("MISTRAL_NB_MODERATION_THRESHOLDS", "violence_and_threats=0.99, sexual=0.5")

        assert mistral_nb.session().complete(BAD).text

    @pytest.mark.parametrize(
        ("given", "problem"),
        [
            ({"moderate": "all"}, "moderate is 'all'"),
            ({"moderation_thresholds": {"sexual": 2}}, "threshold of 'sexual' is 2"),
            ({"moderation_thresholds": "sexual"}, "moderation_thresholds is 'sexual'"),
            ({"moderation_thresholds": [0.5]}, "moderation_thresholds is"),
        ],
        ids=["stage", "score", "text", "list"],
    )
    def test_what_cannot_be_set_is_shown(self, given: dict[str, Any], problem: str) -> None:
        with pytest.raises(InvalidOption, match=problem):
            mistral_nb.configure(**given)

    def test_a_category_without_a_threshold_is_judged_by_the_claim(self) -> None:
        policy = ModerationPolicy(moderate="both", thresholds={"a": 0.5})
        judged = Moderation(
            flagged={"a": True, "b": True, "c": False}, scores={"a": 0.4, "b": 0.1, "c": 0.9}, model="m"
        )

        assert policy.violations(judged) == {"b": 0.1}


class TestWhereItCannotBeAsked:
    def test_nothing_passes_and_nothing_is_paid_twice(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="output")
        api.play(Fault(status=503, path=MODERATIONS, times=None))

        with pytest.raises(Refused, match="could not be asked, so nothing passes"):
            mistral_nb.session().complete("Hello")
        assert paths(api).count(CHAT) == 1

    def test_a_refused_key_is_said_as_such(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input", api_key="x" * 32)

        with pytest.raises(InvalidKey):
            mistral_nb.session().complete("Hello")

    def test_an_embedded_model_needs_a_key_for_it(self) -> None:
        mistral_nb.configure(moderate="input", model="local-tiny")

        with pytest.raises(MissingKey, match="The moderation model could not be asked") as caught:
            mistral_nb.session().complete("Hello")
        assert "configure(moderate='')" in caught.value.remedy


def test_there_are_no_batch_jobs(api: FakeApi) -> None:
    mistral_nb.configure(moderate="both")

    with pytest.raises(NotSupported, match="no batch jobs: nobody would look"):
        pd.Series(["a billing question"]).mistral.classify(LABELS, mode="batch")


class TestKeptAnswers:
    def test_an_answer_kept_without_moderation_is_not_taken_for_a_moderated_one(self, api: FakeApi) -> None:
        rows = pd.Series(["a billing question"])
        rows.mistral.classify(LABELS)
        mistral_nb.configure(moderate="both")
        rows.mistral.classify(LABELS)
        rows.mistral.classify(LABELS)

        assert paths(api).count(CHAT) == 2

    def test_rows_are_judged_one_by_one(self, api: FakeApi) -> None:
        mistral_nb.configure(moderate="input")
        pd.Series([f"billing {number}" for number in range(100)]).mistral.classify(LABELS)

        assert paths(api).count(MODERATIONS) == paths(api).count(CHAT) == 100


def test_only_what_is_new_since_the_last_answer_is_judged() -> None:
    request = CompletionRequest(
        model="m",
        messages=(
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "before"},
            {"role": "assistant", "content": "an answer"},
            {"role": "tool", "content": "a result", "tool_call_id": "abcdefghi"},
            {"role": "user", "content": [{"type": "text", "text": "now"}]},
        ),
    )

    assert new_texts(request) == ["a result", "now"]
