"""Error bodies and what they become: one exception per remedy, whichever shape the body has."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_nb.api_errors import error_from_frame, error_from_response
from mistral_nb.api_key import SecretKey
from mistral_nb.errors import (
    InvalidKey,
    InvalidMessages,
    MistralNotebookError,
    ModelNotOnPlan,
    PromptTooLong,
    RateLimited,
    Refused,
    RequestRejected,
    ServerProblem,
    UnknownModel,
    WrongEndpoint,
)

OBSERVED = Path(__file__).parents[2] / "shared" / "api" / "errors_observed.json"
EXTRA_FIELD = {"type": "extra_forbidden", "loc": ["body", "store"], "msg": "Extra inputs are not permitted"}
GUARDRAILS = {
    "results": {"v2": {"decisions": {"sexual": {"score": 0.3, "violated": True}, "pii": {"violated": False}}}}
}
NAMES = "message detail error guardrails results decisions type code loc msg violated score"
any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4),
    max_leaves=15,
)


def error(status: int, body: Any, **headers: str) -> MistralNotebookError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return error_from_response(status, json.dumps(body), named, model="mistral-small-latest")


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, {"detail": "Invalid API Key"}, InvalidKey),
        (401, {"error": "Unauthorized"}, InvalidKey),
        (400, {"message": "Invalid model: x", "type": "invalid_model", "code": "1500"}, UnknownModel),
        (400, {"message": "Invalid model: x", "type": "invalid_model", "code": 1500}, UnknownModel),
        (404, {"message": "The model `x` does not exist."}, UnknownModel),
        (404, {"message": "no Route matched with those values"}, WrongEndpoint),
        (404, {"detail": "Not Found"}, WrongEndpoint),
        (405, {"detail": "Method Not Allowed"}, WrongEndpoint),
        (301, "", WrongEndpoint),
        (403, {"message": "x is a Labs model.", "code": "1913"}, ModelNotOnPlan),
        (403, {"error": {"message": "Content blocked"}, "guardrails": GUARDRAILS}, Refused),
        (403, {"message": "Request blocked", "code": 3201, "guardrails": [{"v2": {"action": "block"}}]}, Refused),
        (400, {"message": "Unexpected role 'user' after role 'tool'", "code": "3230"}, InvalidMessages),
        (400, {"message": "Expected last role User or Tool but got assistant"}, InvalidMessages),
        (400, {"message": "Tool call id was x but must be …", "code": "3280"}, InvalidMessages),
        (
            400,
            {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length"},
            PromptTooLong,
        ),
        (400, {"message": "Too many inputs in request, split into more batches.", "code": "3210"}, PromptTooLong),
        (413, "Request entity too large", PromptTooLong),
        (422, {"detail": [EXTRA_FIELD]}, RequestRejected),
        (422, {"message": {"detail": [EXTRA_FIELD]}}, RequestRejected),
        (422, {"message": [EXTRA_FIELD], "detail": [EXTRA_FIELD], "code": 3001}, RequestRejected),
        (429, {"message": "Rate limit exceeded", "code": "1300"}, RateLimited),
        (429, {"message": "Service tier capacity exceeded for this model."}, RateLimited),
        (503, {"message": "Service unavailable.", "code": "3800"}, ServerProblem),
        (500, "Internal Server Error", ServerProblem),
        (408, "", ServerProblem),
    ],
)
def test_each_error_body_becomes_the_exception_with_its_remedy(
    status: int, body: Any, expected: type[MistralNotebookError]
) -> None:
    found = error(status, body)

    assert (type(found), found.status_code, bool(found.remedy)) == (expected, status, True)


OUTCOMES: list[tuple[type[MistralNotebookError], str]] = [
    (InvalidKey, "https://console.mistral.ai/api-keys"),
    (InvalidKey, "it was replaced or deleted"),
    (UnknownModel, "Did you mean model='mistral-medium-3-5'"),
    (InvalidMessages, "After the results of tools comes the assistant"),
    (InvalidMessages, "the last one user or tool"),
    (PromptTooLong, "Shorten the text by 28,130 tokens"),
    (RequestRejected, "Leave 'top_k' out"),
    (PromptTooLong, "Send fewer or shorter texts at once"),
    (PromptTooLong, "Send fewer or shorter texts at once"),
    (InvalidMessages, "9 characters"),
    (Refused, "guardrails=["),
    (ServerProblem, "'block_on_error': False"),
    (WrongEndpoint, "without '/v1'"),
    (RequestRejected, "Leave out 'max_completion_tokens'"),
    (RequestRejected, "Leave out 'store', 'max_completion_tokens'"),
    (RequestRejected, "Leave out 'tools'"),
    (RateLimited, "requests_per_minute="),
    (RateLimited, "requests_per_minute="),
    (RateLimited, "service_tier='priority'"),
    (RateLimited, "not the account's own limit"),
    (ServerProblem, "https://status.mistral.ai"),
    (ModelNotOnPlan, "Waiting cannot help"),
]


@pytest.mark.skipif(not OBSERVED.is_file(), reason="the observed error bodies (../shared/api) are not here")
def test_every_observed_error_body_is_explained_with_its_fix() -> None:
    observed = json.loads(OBSERVED.read_text())
    found = [
        error_from_response(
            entry["status"],
            json.dumps(entry["body"]),
            entry.get("headers"),
            model="mistral-medium-3.5",
        )
        for entry in observed
    ]

    explained = [
        (type(error), fix if fix in " ".join(error.remedy.split()) else error.remedy)
        for error, (_, fix) in zip(found, OUTCOMES, strict=True)
    ]
    assert explained == OUTCOMES


@pytest.mark.skipif(not OBSERVED.is_file(), reason="the observed error bodies (../shared/api) are not here")
def test_of_the_observed_errors_limits_and_failures_of_servers_are_worth_trying_again() -> None:
    observed = json.loads(OBSERVED.read_text())
    again = {
        entry["status"]
        for entry in observed
        if error_from_response(entry["status"], json.dumps(entry["body"])).is_worth_retrying
    }

    assert again == {403, 429, 503}  # 403: a guardrail that failed itself


@pytest.mark.skipif(not OBSERVED.is_file(), reason="the observed error bodies (../shared/api) are not here")
def test_every_observed_message_is_in_the_exception() -> None:
    for entry in json.loads(OBSERVED.read_text()):
        body = entry["body"]
        inner = body.get("error", body)
        said = inner.get("message") or inner.get("detail")
        found = error_from_response(entry["status"], json.dumps(body))

        assert (said if isinstance(said, str) else "Extra inputs are not permitted") in found.problem


class TestTooLong:
    def too_long(self, message: str, model: str = "codestral-latest") -> PromptTooLong:
        found = error_from_response(400, json.dumps({"message": message, "code": "3051"}), model=model)
        assert isinstance(found, PromptTooLong)
        return found

    def test_both_counts_are_said(self) -> None:
        found = self.too_long(
            "Prompt contains 150000 tokens and 0 draft tokens, too large for … 131072 maximum context length"
        )

        assert (found.prompt_tokens, found.context_tokens) == (150_000, 131_072)
        assert "150,000 tokens is too long for 'codestral-latest', which reads 131,072 tokens" in found.problem

    def test_a_model_that_reads_enough_is_named(self) -> None:
        found = self.too_long(
            "Prompt contains 150000 tokens and 0 draft tokens, too large for … 131072 maximum context length"
        )

        assert "model='mistral-small-latest' (262,144 tokens)" in found.remedy

    def test_no_model_is_named_where_none_reads_enough(self) -> None:
        found = self.too_long(
            "Prompt contains 999999 tokens and 0 draft tokens, too large for … 131072 maximum context length"
        )

        assert "model=" not in found.remedy

    def test_the_window_is_the_catalogues_where_the_server_does_not_say(self) -> None:
        found = error_from_response(413, "Request entity too large", model="codestral-latest")

        assert "which reads 131,072 tokens" in found.problem


class TestKey:
    @pytest.mark.parametrize(
        ("key", "sign"),
        [
            ('"abcdefghijklmnop"', "quotation mark"),
            ("Bearer abcdefghijklmnop", "begins with 'Bearer'"),
            ("MISTRAL_API_KEY=abcdefghijklmnop", "begins with 'MISTRAL_API_KEY'"),
            ("sk-ant-abcdefghijklmnop", "key of Anthropic"),
            ("sk-abcdefghijklmnop", "key of OpenAI"),
            ("hf_abcdefghijklmnop", "key of Hugging Face"),
            ("abcdefghijklmnopqrstuvwxyz012345", "it was replaced or deleted"),
        ],
    )
    def test_what_is_wrong_with_a_refused_key_is_said(self, key: str, sign: str) -> None:
        refused = error_from_response(401, '{"detail": "Unauthorized"}', key=SecretKey(key))

        assert sign in refused.remedy
        assert key not in f"{refused}{vars(refused)}"

    def test_a_refused_key_says_where_it_was_found_and_its_last_characters(self) -> None:
        key = SecretKey("abcdefghijklmnopqrstuvwxyz012345", found_in="MISTRAL_API_KEY")

        assert "the key …2345 found in MISTRAL_API_KEY" in error_from_response(401, "", key=key).problem


class TestModel:
    @pytest.mark.parametrize(
        ("model", "advice"),
        [
            ("mistral-smal-latest", "Did you mean model='mistral-small-latest'"),
            ("codestral-2501", "Mistral retired it; its replacement: model='codestral-2508'"),
            ("qwerty", "Choose another"),
        ],
    )
    def test_an_unknown_model_is_told_what_to_ask_instead(self, model: str, advice: str) -> None:
        found = error_from_response(400, '{"message": "Invalid model", "code": "1500"}', model=model)

        assert advice in found.remedy


class TestRateLimit:
    @pytest.mark.parametrize(
        ("headers", "words"),
        [
            ({"x-ratelimit-limit-req-minute": "4", "x-ratelimit-remaining-req-minute": "0"}, "of 4 requests a minute"),
            (
                {
                    "x-ratelimit-limit-req-minute": "50",
                    "x-ratelimit-remaining-req-minute": "12",
                    "x-ratelimit-limit-tokens-minute": "50000",
                },
                "of 50,000 tokens a minute",
            ),
            ({}, "rate limit is reached"),
        ],
        ids=["requests", "tokens", "not said"],
    )
    def test_it_is_said_which_limit_is_reached(self, headers: dict[str, str], words: str) -> None:
        assert words in error_from_response(429, '{"message": "Rate limit exceeded"}', headers, model="m").problem


@pytest.mark.parametrize("body", [{"detail": [EXTRA_FIELD]}, {"message": {"detail": [EXTRA_FIELD]}}])
def test_a_rejected_field_is_named_in_the_remedy(body: dict[str, Any]) -> None:
    assert error(422, body).remedy == "Leave out 'store'."


def test_a_field_with_a_wrong_value_is_to_be_corrected() -> None:
    body = {"detail": [{"type": "less_than_equal", "loc": ["body", "top_p"], "msg": "At most 1"}]}

    assert error(422, body).remedy == "Correct 'top_p'."


def test_a_blocked_text_names_the_category_and_its_score() -> None:
    blocked = error(403, {"error": {"message": "Content blocked by guardrail"}, "guardrails": GUARDRAILS})

    assert "sexual 0.3" in blocked.problem
    assert "pii" not in blocked.problem


def test_a_blocked_text_has_category_and_score_as_data() -> None:
    blocked = error(403, {"error": {"message": "Content blocked by guardrail"}, "guardrails": GUARDRAILS})

    assert isinstance(blocked, Refused)
    assert (blocked.categories, blocked.scores) == (("sexual",), {"sexual": 0.3})


def test_a_limit_of_zero_requests_means_that_the_plan_has_no_such_model() -> None:
    found = error(429, {"message": "Rate limit exceeded"}, x_ratelimit_limit_req_minute="0")

    assert type(found) is ModelNotOnPlan
    assert not found.is_worth_retrying


def test_a_full_server_is_not_blamed_on_the_account() -> None:
    full = error(429, {"message": "Capacity exceeded for this model.", "code": "3810"})

    assert "not the account's own limit" in full.remedy


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("-1", 0.0), ("nan", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
)
def test_a_wait_that_the_server_names_is_kept(value: str, seconds: float | None) -> None:
    assert error(429, {}, Retry_After=value).retry_after_seconds == seconds


def test_the_id_to_quote_to_support_is_kept() -> None:
    assert error(500, {}, Mistral_Correlation_Id="abc").correlation_id == "abc"


@pytest.mark.parametrize(
    ("frame", "expected", "status"),
    [
        ({"object": "error", "message": "x", "code": "1300", "raw_status_code": 429}, RateLimited, 429),
        ({"object": "error", "message": "x", "code": "1300"}, RateLimited, 429),
        ({"error": {"message": "x", "code": 503}}, ServerProblem, 503),
        ({"error": {"message": "x", "status": 401}}, InvalidKey, 401),
        ({"message": "Invalid model: x", "code": "1500"}, UnknownModel, 400),
        ({"error": "it broke"}, ServerProblem, 500),
    ],
)
def test_an_error_where_an_answer_was_due_is_read_too(
    frame: dict[str, Any], expected: type[MistralNotebookError], status: int
) -> None:
    found = error_from_frame(frame)

    assert (type(found), found.status_code) == (expected, status)


@settings(deadline=None)
@given(status=st.integers(100, 599), body=any_json | st.text() | st.binary())
def test_reading_an_error_body_never_fails(status: int, body: Any) -> None:
    raw = body if isinstance(body, str | bytes) else json.dumps(body)

    assert error_from_response(status, raw).problem


def test_a_deeply_nested_body_is_read_as_text() -> None:
    assert error_from_response(500, "[" * 200_000).problem
