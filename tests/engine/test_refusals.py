"""Guardrails, safe_prompt, and answers that end in a way the API does not document: what is refused says so, and is counted."""

import pandas as pd
import pytest

import mistral_nb
from mistral_nb.completion import Completion
from mistral_nb.errors import InvalidOption, Refused
from mistral_nb.refusal import is_refusal
from tests.fake_api import FakeApi, Fault

BAD = "I will attack you"
GUARDRAILS = [{"moderation_llm_v2": {"action": "block"}}]
LABELS = ["billing", "delivery"]
ignores_failures = pytest.mark.filterwarnings("ignore::mistral_nb.FailedRowsWarning")


def ledger_errors() -> list[str | None]:
    return [record.error for record in mistral_nb.session().ledger.records()]


@pytest.mark.parametrize(
    ("finish_reason", "refused"),
    [
        ("stop", False),
        ("tool_calls", False),
        ("length", False),
        ("model_length", False),
        ("", False),
        ("error", True),
        ("content_filter", True),
        ("safety", True),
    ],
)
def test_an_end_that_is_neither_the_answers_own_nor_a_cut_is_a_refusal(finish_reason: str, refused: bool) -> None:
    assert is_refusal(Completion(text="", model="m", finish_reason=finish_reason)) == refused


def test_a_guardrail_that_blocks_says_category_and_score(api: FakeApi) -> None:
    with pytest.raises(Refused, match="violence_and_threats") as caught:
        mistral_nb.session().complete(BAD, guardrails=GUARDRAILS)

    assert caught.value.scores == {"violence_and_threats": 0.98}
    assert caught.value.remedy


def test_a_blocked_request_is_in_the_ledger_as_refused(api: FakeApi) -> None:
    with pytest.raises(Refused):
        mistral_nb.session().complete(BAD, guardrails=GUARDRAILS)

    assert ledger_errors() == ["Refused"]


def test_an_answer_that_is_filtered_is_refused_and_keeps_what_had_come(api: FakeApi) -> None:
    api.play(Fault(content="As far as", finish_reason="content_filter"))
    with pytest.raises(Refused, match="finish_reason 'content_filter'") as caught:
        mistral_nb.session().complete("Hello")

    assert caught.value.withheld is not None
    assert caught.value.withheld.text == "As far as"
    assert ledger_errors() == ["Refused"]


def test_a_stream_that_is_filtered_gives_what_had_come_and_is_in_the_ledger_as_refused(api: FakeApi) -> None:
    api.play(Fault(content="As far as", finish_reason="content_filter"))
    pieces = list(mistral_nb.session().stream("Hello"))

    assert pieces[-1].finish_reason == "content_filter"
    assert ledger_errors() == ["Refused"]


class TestRows:
    @ignores_failures
    def test_a_row_that_a_guardrail_blocks_is_missing_and_counted(self, api: FakeApi) -> None:
        rows = pd.Series(["a billing question", BAD])
        answers = rows.mistral.classify(LABELS, guardrails=GUARDRAILS, rows_per_request=1)
        run = mistral_nb.session().last_run
        assert run is not None

        assert answers.isna().tolist() == [False, True]
        assert run.progress.refused == 1

    def test_the_warning_counts_the_refused(self, api: FakeApi) -> None:
        with pytest.warns(mistral_nb.FailedRowsWarning, match=r"1 of 1 row failed \(1 of them refused\)"):
            pd.Series([BAD]).mistral.classify(LABELS, guardrails=GUARDRAILS)

    @ignores_failures
    def test_of_rows_that_share_a_request_only_the_blocked_one_is_missing(self, api: FakeApi) -> None:
        rows = pd.Series([f"billing {number}" for number in range(9)] + [BAD])
        answers = rows.mistral.classify(LABELS, guardrails=GUARDRAILS, rows_per_request=10)

        assert answers.isna().sum() == 1

    def test_safe_prompt_is_passed_on_and_makes_another_question(self, api: FakeApi) -> None:
        rows = pd.Series(["a billing question"])
        rows.mistral.classify(LABELS)
        rows.mistral.classify(LABELS, safe_prompt=True)

        assert [request.body.get("safe_prompt") for request in api.requests if request.body] == [None, True]

    def test_guardrails_that_are_no_list_are_shown(self, api: FakeApi) -> None:
        with pytest.raises(InvalidOption, match="guardrails is"):
            pd.Series(["a"]).mistral.classify(LABELS, guardrails={"action": "block"})


def test_safe_prompt_is_passed_on_by_a_single_question(api: FakeApi) -> None:
    mistral_nb.session().complete("Hello", safe_prompt=True)

    assert api.requests[0].body is not None
    assert api.requests[0].body["safe_prompt"] is True
