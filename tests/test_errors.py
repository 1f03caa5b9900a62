"""Error bodies and what they become: one exception per remedy, whichever shape the body has."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_nb import errors
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
    error_from_frame,
    error_from_response,
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


@pytest.mark.skipif(not OBSERVED.is_file(), reason="the observed error bodies (../shared/api) are not here")
def test_every_observed_error_body_is_more_than_a_rejected_request() -> None:
    observed = json.loads(OBSERVED.read_text())
    plain = {
        entry["body"]["message"]
        for entry in observed
        if type(error_from_response(entry["status"], json.dumps(entry["body"]), entry.get("headers")))
        is RequestRejected
        and entry["status"] != 422
    }

    assert plain == {"top_k sampling is not enabled for this model"}


@pytest.mark.skipif(not OBSERVED.is_file(), reason="the observed error bodies (../shared/api) are not here")
def test_every_observed_message_is_in_the_exception() -> None:
    for entry in json.loads(OBSERVED.read_text()):
        body = entry["body"]
        inner = body.get("error", body)
        said = inner.get("message") or inner.get("detail")
        found = error_from_response(entry["status"], json.dumps(body))

        assert (said if isinstance(said, str) else "Extra inputs are not permitted") in found.problem


@pytest.mark.parametrize("body", [{"detail": [EXTRA_FIELD]}, {"message": {"detail": [EXTRA_FIELD]}}])
def test_a_rejected_field_is_named_in_the_remedy(body: dict[str, Any]) -> None:
    assert error(422, body).remedy == "Remove or correct 'store'."


def test_a_blocked_text_names_the_category_and_its_score() -> None:
    blocked = error(403, {"error": {"message": "Content blocked by guardrail"}, "guardrails": GUARDRAILS})

    assert "sexual 0.3" in blocked.problem
    assert "pii" not in blocked.problem


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


def test_an_exception_shows_the_problem_and_then_the_remedy() -> None:
    assert str(RateLimited("Too fast.", "Wait.")) == "Too fast.\nWait."
    assert str(RateLimited("Too fast.")) == "Too fast."


def test_the_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    """Depth in the drawing (four characters per level) is depth in the class tree."""
    drawn = []
    for line in (errors.__doc__ or "").splitlines():
        name = line.lstrip("│├└─ ").split(" ")[0]
        if name in vars(errors):
            drawn.append((name, (len(line) - len(line.lstrip("│├└─ "))) // 4))

    def tree(kind: type[Any], depth: int) -> list[tuple[str, int]]:
        below = [
            entry
            for sub in kind.__subclasses__()
            if sub.__module__ == errors.__name__
            for entry in tree(sub, depth + 1)
        ]
        return [(kind.__name__, depth), *below]

    assert sorted(drawn) == sorted(tree(MistralNotebookError, 0))


def test_what_trying_again_cures_never_stops_a_run() -> None:
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, MistralNotebookError)]

    assert [kind.__name__ for kind in kinds if kind.is_worth_retrying and kind.stops_run] == []
