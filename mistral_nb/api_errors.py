"""Answers of the API that are errors, as our exceptions.

Keeps to itself: which status, code and wording of the API means which cause. One function for each cause, in the order in which
they are asked whether the answer is theirs.
Promises: every answer becomes an exception with its remedy, whatever its body is; nothing of the request's text gets into it.

Shapes and codes are those of error bodies recorded or published by users, 2025-06 to 2026-09.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from mistral_nb.api_key import SecretKey, foreign_sign
from mistral_nb.catalogue import find_model, load_catalogue, nearest_names
from mistral_nb.counted import counted
from mistral_nb.error_body import ErrorBody, failed_guardrails, read_error_body, violations
from mistral_nb.errors import (
    API_KEYS_PAGE,
    SET_KEY_LINE,
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
from mistral_nb.rate_limits import RateLimits

_Problem = TypeVar("_Problem", bound=MistralNotebookError)

_TOO_LONG = re.compile(r"contains (\d+) tokens.* (\d+) maximum context length")
_NOT_FOR_MODEL = re.compile(r"^(\w+)(?: sampling)? is not (?:enabled|supported)")
_MODELS_LINE = "mistral_nb.models() lists those that this key may use."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """An error response; `headers` by lower-case name, `model` and `key` those that were sent, where known."""

    status_code: int
    read: ErrorBody
    headers: Mapping[str, str]
    model: str | None
    key: SecretKey | None
    is_mistrals: bool

    @property
    def said(self) -> str:
        message = f": {self.read.message}" if self.read.message else ""
        return f"(HTTP {self.status_code}{message})"

    @property
    def asked(self) -> str:
        return f"'{self.model}'" if self.model else "the model"

    @property
    def rate_limits(self) -> RateLimits | None:
        return RateLimits.from_headers(self.headers)

    def error(self, kind: type[_Problem], problem: str, remedy: str, **more: Any) -> _Problem:
        return kind(
            problem,
            remedy,
            status_code=self.status_code,
            correlation_id=self.headers.get("mistral-correlation-id"),
            retry_after_seconds=_seconds(self.headers.get("retry-after")),
            rate_limits=self.rate_limits,
            **more,
        )


def error_from_response(
    status_code: int,
    body: str | bytes,
    headers: Mapping[str, str] | None = None,
    *,
    model: str | None = None,
    key: SecretKey | None = None,
    is_mistrals: bool = True,
) -> MistralNotebookError:
    """Return our exception for an API error response.

    Parameters
    ----------
    status_code, body, headers
        Of the response. Error bodies come in several shapes (nested `message`, `detail` as text or list, `error`);
        header names are looked up without regard to case.
    model
        The model that was asked, to name it in the remedy.
    key
        The key that was sent, to say what is wrong with its shape; it does not get into the exception.
    is_mistrals
        Whether the server is one of Mistral's, whose models the catalogue knows.
    """
    answer = _Answer(
        status_code=status_code,
        read=read_error_body(body),
        headers={name.lower(): value for name, value in (headers or {}).items()},
        model=model,
        key=key,
        is_mistrals=is_mistrals,
    )
    causes = (
        _invalid_key,
        _not_on_plan,
        _wrong_endpoint,
        _unknown_model,
        _limited,
        _server_problem,
        _blocked,
        _too_long,
        _invalid_messages,
    )
    return next((error for cause in causes if (error := cause(answer)) is not None), None) or _rejected(answer)


# The API's own codes that errors of a known status were seen with.
_STATUS_OF_CODE = {"1300": 429, "1500": 400, "1913": 403, "3051": 400, "3210": 400, "3230": 400, "3280": 400}
_STATUS_OF_CODE |= {"3201": 403, "3505": 429, "3800": 503, "3810": 429}


def error_from_frame(frame: Mapping[str, Any], *, model: str | None = None) -> MistralNotebookError:
    """Return our exception for an error that came where an answer was due: in a stream, or with HTTP status 200.

    The frame's own status or code holds; without one the server is taken to have failed, so that trying again is right.
    """
    inner = frame.get("error")
    places = [frame, inner] if isinstance(inner, Mapping) else [frame]
    said = [str(place.get(name)) for place in places for name in ("raw_status_code", "status", "status_code", "code")]
    statuses = [int(word) for word in said if re.fullmatch("[45][0-9][0-9]", word)]
    statuses += [_STATUS_OF_CODE[word] for word in said if word in _STATUS_OF_CODE]
    return error_from_response(statuses[0] if statuses else 500, json.dumps(frame), model=model)


def _invalid_key(answer: _Answer) -> InvalidKey | None:
    if answer.status_code != 401:
        return None
    key = answer.key
    which = f"{key.tail}{f' found in {key.found_in}' if key.found_in else ''} " if key is not None else ""
    sign = foreign_sign(key) if key is not None else None
    cause = sign or (
        "If it worked before, it was replaced or deleted. A key of another product, such as codestral.mistral.ai, is none here."
    )
    where = f" where it was found ({key.found_in}), or" if key is not None and key.found_in else ":"
    return answer.error(
        InvalidKey,
        f"The API did not accept the key {which}{answer.said}.",
        f"{cause}\nCopy one from {API_KEYS_PAGE} and set it{where}\n{SET_KEY_LINE}",
    )


def _not_on_plan(answer: _Answer) -> ModelNotOnPlan | None:
    limits = answer.rate_limits
    if (limits is None or limits.requests_per_minute != 0) and answer.read.code != "1913":
        return None
    return answer.error(
        ModelNotOnPlan,
        f"This account's plan does not include {answer.asked} {answer.said}.",
        "Waiting cannot help. Choose another model, e.g. model='mistral-small-latest', or enable this one at "
        f"https://console.mistral.ai. {_MODELS_LINE}",
    )


def _wrong_endpoint(answer: _Answer) -> WrongEndpoint | None:
    status = answer.status_code
    if not (status < 400 or status == 405 or (status == 404 and not _names_a_model(answer.read.message))):
        return None
    return answer.error(
        WrongEndpoint,
        f"The endpoint does not know this address {answer.said}.",
        "Give the server's root without '/v1', e.g. mistral_nb.configure(endpoint='https://api.mistral.ai').",
    )


def _unknown_model(answer: _Answer) -> UnknownModel | None:
    if answer.read.code != "1500" and answer.read.type != "invalid_model" and answer.status_code != 404:
        return None
    advice = _other_model_advice(answer.model) if answer.is_mistrals else _MODELS_LINE
    return answer.error(UnknownModel, f"The API knows no model {answer.asked} {answer.said}.", advice)


def _other_model_advice(model: str | None) -> str:
    """Return what to ask in place of a model that Mistral does not know: its replacement, or the nearest names."""
    found = find_model(model) if model else None
    if found is not None and found.replacement is not None and found.status in {"retired", "deprecated"}:
        return f"Mistral retired it; its replacement: model='{found.replacement}'. {_MODELS_LINE}"
    near = nearest_names(model) if model and found is None else []
    if near:
        others = f" (or {' or '.join(map(repr, near[1:]))})" if near[1:] else ""
        return f"Did you mean model='{near[0]}'{others}? {_MODELS_LINE}"
    return f"Choose another, e.g. model='mistral-small-latest'. {_MODELS_LINE}"


def _limited(answer: _Answer) -> RateLimited | None:
    if answer.status_code != 429:
        return None
    said, read = answer.said, answer.read
    if read.code == "3505" or "service_tier" in read.type or "service tier" in read.message.lower():
        return answer.error(
            RateLimited,
            f"The capacity of this service tier for {answer.asked} is used up {said}.",
            "Try again later or choose another model: this is not the account's own limit. "
            "service_tier='priority' has its own capacity, at 1.75 times the price.",
        )
    if "capacity" in read.message.lower():
        return answer.error(
            RateLimited,
            f"The servers of {answer.asked} are full {said}.",
            "Try again later or choose another model: this is not the account's own limit.",
        )
    return answer.error(
        RateLimited,
        f"The account's rate limit{_limit_words(answer)} is reached {said}.",
        "Wait a minute, keep below it, e.g. mistral_nb.configure(requests_per_minute=…), "
        "or raise it at https://console.mistral.ai/limits.",
    )


def _limit_words(answer: _Answer) -> str:
    """Return which limit it was, where the headers say."""
    limits = answer.rate_limits
    if limits is None:
        return ""
    if limits.requests_per_minute is not None and limits.remaining_requests in {0, None}:
        return f" of {counted(limits.requests_per_minute, 'request')} a minute for {answer.asked}"
    if limits.tokens_per_minute is not None:
        return f" of {counted(limits.tokens_per_minute, 'token')} a minute for {answer.asked}"
    return ""


def _server_problem(answer: _Answer) -> ServerProblem | None:
    if failed_guardrails(answer.read.guardrails):
        return answer.error(
            ServerProblem,
            f"A guardrail could not be evaluated, so the request was blocked {answer.said}.",
            "Try again later, or let such requests pass: guardrails=[{…, 'block_on_error': False}].",
        )
    if answer.status_code < 500 and answer.status_code not in {408, 409, 425}:
        return None
    return answer.error(
        ServerProblem,
        f"The server could not answer {answer.said}.",
        "Try again later; https://status.mistral.ai tells of outages.",
    )


def _blocked(answer: _Answer) -> Refused | None:
    if not answer.read.guardrails:
        return None
    scores = violations(answer.read.guardrails)
    listed = ", ".join(f"{name} {score:g}" if score is not None else name for name, score in scores.items())
    return answer.error(
        Refused,
        f"A guardrail blocked the request {answer.said}{f': {listed}' if listed else ''}.",
        "Change the text, or the thresholds in guardrails=[…].",
        categories=tuple(scores),
        scores={name: score for name, score in scores.items() if score is not None},
    )


def _too_long(answer: _Answer) -> PromptTooLong | None:
    message = answer.read.message
    if re.search(r"Too many (tokens|inputs)", message):
        return answer.error(
            PromptTooLong,
            f"There is too much in one request for {answer.asked} {answer.said}.",
            "Send fewer or shorter texts at once.",
        )
    if answer.status_code != 413 and "maximum context length" not in message:
        return None
    counts = _TOO_LONG.search(message)
    found = find_model(answer.model) if answer.model else None
    prompt_tokens = int(counts[1]) if counts else None
    context_tokens = int(counts[2]) if counts else found.context_tokens if found else None
    sizes = f", which reads {counted(context_tokens, 'token')}" if context_tokens is not None else ""
    subject = f"The prompt of {counted(prompt_tokens, 'token')}" if prompt_tokens is not None else "The request"
    return answer.error(
        PromptTooLong,
        f"{subject} is too long for {answer.asked}{sizes} {answer.said}.",
        _shortening_advice(prompt_tokens, context_tokens),
        prompt_tokens=prompt_tokens,
        context_tokens=context_tokens,
    )


def _shortening_advice(prompt_tokens: int | None, context_tokens: int | None) -> str:
    by = ""
    if prompt_tokens is not None and context_tokens is not None and prompt_tokens > context_tokens:
        by = f" by {counted(prompt_tokens - context_tokens, 'token')} and room for the answer"
    names = [load_catalogue().short_names[name] for name in ("small", "medium", "large")]
    windows = {name: model.context_tokens for name in names if (model := find_model(name)) is not None}
    needed = max(prompt_tokens or 0, context_tokens or 0)
    wider = next((name for name, window in windows.items() if window is not None and window > needed), None)
    other = f", or ask a model that reads more, e.g. model='{wider}' ({windows[wider]:,} tokens)" if wider else ""
    return f"Shorten the text{by}, split it{other}."


def _invalid_messages(answer: _Answer) -> InvalidMessages | None:
    read = answer.read
    if read.code == "3280" or "tool call id" in read.message.lower():
        remedy = "The id of a tool call has 9 characters of a-z, A-Z and 0-9, e.g. 'id': 'a1B2c3D4e'."
    elif read.code == "3230" or "message_order" in read.type or "last role" in read.message:
        remedy = (
            "Order: system first, then user and assistant in turn, the last one user or tool. After the results of tools "
            "comes the assistant: add {'role': 'assistant', 'content': '…'} before the next user message."
        )
    else:
        return None
    return answer.error(InvalidMessages, f"The API does not accept these messages {answer.said}.", remedy)


def _rejected(answer: _Answer) -> RequestRejected:
    read = answer.read
    named = _NOT_FOR_MODEL.match(read.message)
    if named is not None:
        remedy = f"Leave '{named[1]}' out, or choose a model that takes it."
    elif read.field:
        remedy = f"{'Leave out' if read.is_field_unknown else 'Correct'} {read.field}."
    else:
        remedy = "Correct the request as the message says."
    return answer.error(RequestRejected, f"The API rejected the request {answer.said}.", remedy)


def _names_a_model(message: str) -> bool:
    return "no route" not in message.lower() and re.search("model", message, re.IGNORECASE) is not None


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None  # an HTTP date: never seen from this API
    return max(0.0, seconds) if seconds is not None and math.isfinite(seconds) else None
