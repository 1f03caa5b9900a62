"""The refusals of the API: which status, type and code a mistake gets, and how each body looks.

Keeps to itself: the four shapes in which the real API writes an error, as users and recordings showed them in 2025
and 2026.
Promises: one function per mistake, each returns a `Rejection` to raise; `for_status` has a plausible one for any
status.

Statuses, types and codes are observed unless the comment beside says "assumed".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.fake_api.wire import Reply, json_reply

JsonObject = Mapping[str, Any]


class Rejection(Exception):
    """A request that the server will not answer, with the answer it gets instead."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str] | None = None, *, ending: str = "") -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})
        self.ending = ending

    def reply(self) -> Reply:
        return json_reply(self.body, status=self.status, headers=self.headers, ending=self.ending)


def _flat(status: int, message: Any, kind: str, code: str | None) -> Rejection:
    """The usual shape; `raw_status_code` came with the numbered codes."""
    body = {"object": "error", "message": message, "type": kind, "param": None, "code": code}
    if code is not None:
        body["raw_status_code"] = status
    return Rejection(status, body)


def wrong_key(*, is_missing: bool) -> Rejection:
    # The recorded body ends with a newline, so a client that compares texts must strip it.
    return Rejection(401, {"detail": "Unauthorized" if is_missing else "Invalid API Key"}, ending="\n")


def invalid_fields(problems: Sequence[JsonObject], *, is_nested: bool) -> Rejection:
    """422: both shapes are in use, the bare one is the younger."""
    if is_nested:
        return _flat(422, {"detail": list(problems)}, "invalid_request_error", None)
    return Rejection(422, {"detail": list(problems)})


def unknown_model(model: str, *, status: int = 400) -> Rejection:
    return _flat(status, f"Invalid model: {model}", "invalid_model", "1500")


def message_order(message: str) -> Rejection:
    return _flat(400, message, "invalid_request_message_order", "3230")


def tool_call_id(message: str) -> Rejection:
    return _flat(400, message, "invalid_function_call", "3280")


def empty_assistant() -> Rejection:
    message = "Assistant message must have either content or tool_calls, but not none."
    return _flat(400, message, "invalid_request_assistant_message", "3240")


def invalid_request(message: str) -> Rejection:
    """400 without a code: what mistral-common rejects and nobody has pasted a code for."""
    return _flat(400, message, "invalid_request_error", None)


def invalid_argument(message: str) -> Rejection:
    return _flat(400, message, "invalid_request_invalid_args", "3051")


def prompt_too_long(prompt_tokens: int, context_window: int) -> Rejection:
    return invalid_argument(
        f"Prompt contains {prompt_tokens} tokens and 0 draft tokens, "
        f"too large for model with {context_window} maximum context length"
    )


def too_many_inputs() -> Rejection:
    return _flat(400, "Too many inputs in request, split into more batches.", "invalid_request_prompt", "3210")


def too_many_tokens_overall() -> Rejection:
    return _flat(400, "Too many tokens overall, split into more batches.", "invalid_request_prompt", "3210")


def rate_limited(headers: Mapping[str, str]) -> Rejection:
    """429 with the limit headers and, as measured, without Retry-After."""
    rejection = _flat(429, "Rate limit exceeded", "rate_limited", "1300")
    rejection.headers.update(headers)
    return rejection


def blocked_by_guardrail(model_name: str, decisions: JsonObject) -> Rejection:
    result = {"model_name": model_name, "decisions": dict(decisions), "violated": True, "action": "block"}
    body = {
        "error": {"message": "Content blocked by guardrail", "status": 403},
        "guardrails": {"results": {"moderation_llm_v2": result}},
    }
    return Rejection(403, body)


def no_route(request_id: str) -> Rejection:
    return Rejection(404, {"message": "no Route matched with those values", "request_id": request_id})


def for_status(status: int) -> Rejection:
    """Return a rejection for a status alone, as a scripted fault that names no body needs it."""
    match status:
        case 401:
            return wrong_key(is_missing=False)
        case 403:
            return blocked_by_guardrail(
                "mistral-moderation-2603", {"sexual": {"threshold": 0.1, "score": 0.9, "violated": True}}
            )
        case 404:
            return no_route("00000000000000000000000000000000")
        case 429:
            return rate_limited({})
        case 503:
            return _flat(503, "Service unavailable.", "internal_server_error", "3800")
        case _:  # assumed: the flat shape without a code
            return _flat(status, f"Fault with status {status}", "internal_server_error", None)
