"""Every way a call can fail, one class per remedy.

Keeps to itself: which status, code and wording of the API means which exception.
Promises: every exception the package raises is a `MistralNotebookError` with `problem` (what is wrong, with the value) and
`remedy` (what would be right, ready to paste); none of them ever holds the key.

MistralNotebookError
├── InvalidInput               what was typed can't work
│   ├── UnknownColumn          (also KeyError)
│   ├── NotText                (also TypeError)
│   ├── InvalidLabels          (also ValueError)
│   ├── InvalidOption          (also ValueError)
│   ├── InvalidSchema          (also ValueError)
│   ├── UnknownPrice           (also ValueError)
│   └── EmptyPrompt            (also ValueError)
├── KeyProblem
│   ├── MissingKey
│   └── InvalidKey             401
├── ModelProblem
│   ├── UnknownModel           400 with code 1500, or 404
│   └── ModelNotOnPlan         403 with code 1913, or a limit of 0 requests
├── RequestRejected            400, 403, 422 of this one request
│   ├── PromptTooLong
│   ├── InvalidMessages        order of roles, ids of tool calls
│   └── Refused                guardrail or moderation
├── RateLimited                429
├── ServerProblem              5xx, 408, 409, 425
├── WrongEndpoint              404 of the address itself
├── ConnectionProblem
│   ├── CannotConnect
│   ├── ConnectionLost
│   └── RequestTimedOut
├── AnswerProblem
│   ├── InvalidAnswer
│   └── TruncatedAnswer
├── BatchProblem
│   ├── BatchUnanswered        a job ended without this row's answer
│   └── BatchExpired           the API has forgotten what a job gave
├── EmbeddedProblem
│   ├── EngineMissing
│   ├── WeightsMissing
│   ├── WeightsCorrupt
│   ├── DownloadFailed
│   └── EmbeddedServerFailed
├── BudgetReached              the next request might cost more than is left
├── RowsFailed                 rows of a run with errors="raise"
├── CacheProblem
└── NotSupported               this model or endpoint can't do that at all
"""

import json
import math
import os
import re
import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mistral_nb.completion import TokenUsage
from mistral_nb.error_body import read_error_body, violations
from mistral_nb.rate_limits import RateLimits

API_KEYS_PAGE = "https://console.mistral.ai/api-keys"
SET_KEY_LINE = 'import os; os.environ["MISTRAL_API_KEY"] = "…"'


class MistralNotebookError(Exception):
    """Base of every exception of this package.

    Attributes
    ----------
    problem
        What is wrong, with the value that is wrong.
    remedy
        What would be right, with the line to paste where there is one.
    status_code, correlation_id, rate_limits
        Of the HTTP response that was the cause; None where there was none.
    """

    is_worth_retrying: ClassVar[bool] = False
    stops_run: ClassVar[bool] = False

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        status_code: int | None = None,
        correlation_id: str | None = None,
        retry_after_seconds: float | None = None,
        rate_limits: RateLimits | None = None,
    ) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy
        self.status_code = status_code
        self.correlation_id = correlation_id
        self.retry_after_seconds = retry_after_seconds
        self.rate_limits = rate_limits

    def __str__(self) -> str:
        return f"{self.problem}\n{self.remedy}" if self.remedy else self.problem

    def _render_traceback_(self) -> list[str]:
        """Give IPython the reader's own lines and the message, without the frames of this package and its libraries."""
        frames = [frame for frame in traceback.extract_tb(self.__traceback__) if _is_readers(frame.filename)]
        lines = [f"{frame.name}, line {frame.lineno}: {frame.line}" for frame in frames if frame.line]
        return [*lines, f"{type(self).__name__}: {self}"]


class InvalidInput(MistralNotebookError):
    """What was typed can't work, and nothing was sent."""


class UnknownColumn(InvalidInput, KeyError):
    """The frame has no such column."""


class NotText(InvalidInput, TypeError):
    """The column does not hold text."""


class InvalidLabels(InvalidInput, ValueError):
    """The labels can't be chosen between: fewer than two, doubled, blank or not text."""


class InvalidOption(InvalidInput, ValueError):
    """An option has a value outside of what it may be."""


class InvalidSchema(InvalidInput, ValueError):
    """An answer can't be asked for in this form."""


class UnknownPrice(InvalidInput, ValueError):
    """A budget can't be kept for a model whose price is not known."""


class EmptyPrompt(InvalidInput, ValueError):
    """There is nothing to ask."""


class KeyProblem(MistralNotebookError):
    """The API key is missing or not accepted."""

    stops_run = True


class MissingKey(KeyProblem):
    """A hosted model was asked for and there is no key."""


class InvalidKey(KeyProblem):
    """The API answered 401."""


class ModelProblem(MistralNotebookError):
    """The model can't be used."""

    stops_run = True


class UnknownModel(ModelProblem):
    """No model has that name."""


class ModelNotOnPlan(ModelProblem):
    """The model exists, but the account's plan does not include it: waiting cannot help."""


class RequestRejected(MistralNotebookError):
    """The API refused this one request; others may pass."""


class PromptTooLong(RequestRejected):
    """The prompt does not fit into the model's context window."""


class InvalidMessages(RequestRejected):
    """The messages are in an order, or carry tool-call ids, that the API does not accept."""


class Refused(RequestRejected):
    """A guardrail or the model itself declined to answer."""


class RateLimited(MistralNotebookError):
    """The account's limit is reached for now."""

    is_worth_retrying = True


class ServerProblem(MistralNotebookError):
    """The server failed; the same request may pass later."""

    is_worth_retrying = True


class WrongEndpoint(MistralNotebookError):
    """A server answers at the endpoint, but it does not speak this API there."""

    stops_run = True


class ConnectionProblem(MistralNotebookError):
    """The server was not reached, or not to the end."""

    is_worth_retrying = True


class CannotConnect(ConnectionProblem):
    """Name look-up, TLS, proxy or a refused connection."""


class ConnectionLost(ConnectionProblem):
    """The connection ended in the middle of an answer."""


class RequestTimedOut(ConnectionProblem):
    """No answer within the time allowed."""


class AnswerProblem(MistralNotebookError):
    """An answer came, but not one that can be used."""


class InvalidAnswer(AnswerProblem):
    """The answer does not have the form that was asked for.

    Attributes
    ----------
    text
        The answer as the model gave it; "" where there was none to keep.
    errors
        What is wrong with it, each as ``field: what is wrong``; empty where the form is not a schema's.
    attempts
        How many times the model was asked.
    usage
        Tokens of all attempts; None where they are not known.
    """

    def __init__(
        self,
        problem: str,
        remedy: str = "",
        *,
        text: str = "",
        errors: Sequence[str] = (),
        attempts: int = 1,
        usage: TokenUsage | None = None,
        **response: Any,
    ) -> None:
        super().__init__(problem, remedy, **response)
        self.text = text
        self.errors = tuple(errors)
        self.attempts = attempts
        self.usage = usage


class TruncatedAnswer(AnswerProblem):
    """The answer ended at `max_tokens`."""


class BatchProblem(MistralNotebookError):
    """A batch job did not give what it was sent for."""


class BatchUnanswered(BatchProblem):
    """A batch job ended without an answer to this row."""


class BatchExpired(BatchProblem):
    """The API does not keep the answers of this batch job any more."""


class EmbeddedProblem(MistralNotebookError):
    """The embedded model can't answer."""

    stops_run = True


class EngineMissing(EmbeddedProblem):
    """The package that runs the embedded model is not installed."""


class WeightsMissing(EmbeddedProblem):
    """The embedded model's weights are not on this machine."""


class WeightsCorrupt(EmbeddedProblem):
    """A weights file is not the one it should be."""


class DownloadFailed(EmbeddedProblem):
    """No source gave the weights."""


class EmbeddedServerFailed(EmbeddedProblem):
    """The process that runs the embedded model did not start, or ended."""


class BudgetReached(MistralNotebookError):
    """The next request might have cost more than was left of the budget, so it was not sent."""


class RowsFailed(MistralNotebookError):
    """Rows of a run failed, and it was asked to raise.

    Attributes
    ----------
    result
        What the verb would have returned: the answered rows, and missing values for the others.
    failed
        Frame of the failed rows with their errors.
    """

    def __init__(self, problem: str, remedy: str, *, result: Any, failed: Any) -> None:
        super().__init__(problem, remedy)
        self.result = result
        self.failed = failed


class CacheProblem(MistralNotebookError):
    """The file of kept answers can't be used."""

    stops_run = True


class NotSupported(MistralNotebookError):
    """The model or endpoint can't do what was asked, whatever the request."""

    stops_run = True


def _is_readers(file_name: str) -> bool:
    """Whether a file is the reader's own code: not installed, not Python's, not this package's."""
    installed = {"site-packages", "dist-packages"} & set(Path(file_name).parts)
    folders = (str(Path(__file__).parent) + os.sep, sysconfig.get_path("stdlib") + os.sep, "<frozen")
    return not installed and not file_name.startswith(folders)


def error_from_response(
    status_code: int, body: str | bytes, headers: Mapping[str, str] | None = None, *, model: str | None = None
) -> MistralNotebookError:
    """Return our exception for an API error response.

    Parameters
    ----------
    status_code, body, headers
        Of the response. Error bodies come in several shapes (nested `message`, `detail` as text or list, `error`);
        header names are looked up without regard to case.
    model
        The model that was asked, to name it in the remedy.

    Notes
    -----
    Shapes and codes: error bodies recorded or published by users, 2025-06 to 2026-09.
    """
    lower = {name.lower(): value for name, value in (headers or {}).items()}
    read = read_error_body(body)
    message = read.message
    kwargs: dict[str, Any] = {
        "status_code": status_code,
        "correlation_id": lower.get("mistral-correlation-id"),
        "rate_limits": RateLimits.from_headers(lower),
    }
    said = f"(HTTP {status_code}: {message})" if message else f"(HTTP {status_code})"
    asked = f"'{model}'" if model else "the model"

    if status_code == 401:
        return InvalidKey(
            f"The API did not accept the key {said}.",
            f"Copy the key again from {API_KEYS_PAGE}, without spaces, and set it:\n{SET_KEY_LINE}",
            **kwargs,
        )
    if lower.get("x-ratelimit-limit-req-minute") == "0" or read.code == "1913":
        return ModelNotOnPlan(
            f"This account's plan does not include {asked} {said}.",
            "Waiting cannot help. Choose another model, e.g. model='mistral-small-latest', or enable this one in the console.",
            **kwargs,
        )
    if status_code < 400 or status_code == 405 or (status_code == 404 and not _names_a_model(message)):
        return WrongEndpoint(
            f"The endpoint does not know this address {said}.",
            "Give the server's root without '/v1', e.g. mistral_nb.configure(endpoint='https://api.mistral.ai').",
            **kwargs,
        )
    if read.code == "1500" or read.type == "invalid_model" or status_code == 404:
        return UnknownModel(
            f"The API knows no model {asked} {said}.",
            "Use a name from https://docs.mistral.ai/getting-started/models, e.g. model='mistral-small-latest'.",
            **kwargs,
        )
    if status_code == 429 and "capacity" in message.lower():
        return RateLimited(
            f"The servers of {asked} are full {said}.",
            "Try again later or choose another model: this is not the account's own limit.",
            retry_after_seconds=_seconds(lower.get("retry-after")),
            **kwargs,
        )
    if status_code == 429:
        return RateLimited(
            f"The account's rate limit is reached {said}.",
            "Wait a minute, send fewer requests, or raise the limit at https://console.mistral.ai/limits.",
            retry_after_seconds=_seconds(lower.get("retry-after")),
            **kwargs,
        )
    if status_code >= 500 or status_code in {408, 409, 425}:
        return ServerProblem(
            f"The server could not answer {said}.",
            "Try again later; https://status.mistral.ai tells of outages.",
            retry_after_seconds=_seconds(lower.get("retry-after")),
            **kwargs,
        )
    if read.guardrails:
        return Refused(
            f"A guardrail blocked the request {said}{violations(read.guardrails)}.",
            "Change the text, or the guardrails that the request carries.",
            **kwargs,
        )
    if status_code == 413 or re.search(r"maximum context length|Too many (tokens|inputs)", message):
        return PromptTooLong(
            f"The request is too long for {asked} {said}.",
            "Shorten the text, split it, or choose a model with a larger context window.",
            **kwargs,
        )
    if read.code in {"3230", "3280"} or "message_order" in read.type or "last role" in message:
        return InvalidMessages(
            f"The API does not accept these messages {said}.",
            "Roles alternate user, assistant; after a tool message comes the assistant; tool-call ids have 9 letters or digits.",
            **kwargs,
        )
    return RequestRejected(
        f"The API rejected the request {said}.",
        f"Remove or correct {read.field}." if read.field else "Correct the request as the message says.",
        **kwargs,
    )


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


def _names_a_model(message: str) -> bool:
    return "no route" not in message.lower() and re.search("model", message, re.IGNORECASE) is not None


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value) if value is not None else None
    except ValueError:
        return None  # an HTTP date: never seen from this API
    return max(0.0, seconds) if seconds is not None and math.isfinite(seconds) else None
