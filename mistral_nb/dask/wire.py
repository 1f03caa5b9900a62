"""Errors and limits as plain values, which travel between a worker and its scheduler.

Promises: what a limiter concludes from an error is the same on both sides; no row's text travels.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from mistral_nb import errors
from mistral_nb.errors import MistralNotebookError, ModelNotOnPlan, RateLimited
from mistral_nb.rate_limits import RateLimits

# Of other errors the words may quote a row.
_TOLD_IN_WORDS = (ModelNotOnPlan, RateLimited)


class LimiterState(NamedTuple):
    """What a worker knows of the coordinator's limiter; `burst_requests` is the worker's part of what may go at once."""

    is_known: bool = False
    burst_requests: int = 1
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None


def told_rate_limits(rate_limits: RateLimits | None) -> dict[str, int | None] | None:
    """Return the limits as a dict."""
    return None if rate_limits is None else asdict(rate_limits)


def rate_limits_from(told: Mapping[str, int | None] | None) -> RateLimits | None:
    """Return the limits that `told_rate_limits` gave."""
    return None if told is None else RateLimits(**told)


def told_error(error: MistralNotebookError) -> dict[str, Any]:
    """Return what the error says of limits."""
    return {
        "kind": type(error).__name__,
        "problem": error.problem if isinstance(error, _TOLD_IN_WORDS) else "",
        "remedy": error.remedy if isinstance(error, _TOLD_IN_WORDS) else "",
        "status_code": error.status_code,
        "retry_after_seconds": error.retry_after_seconds,
        "rate_limits": told_rate_limits(error.rate_limits),
    }


def error_from(told: Mapping[str, Any]) -> MistralNotebookError:
    """Return an error of the same kind."""
    kind = getattr(errors, told["kind"], MistralNotebookError)
    error: MistralNotebookError = kind(
        told["problem"],
        told["remedy"],
        status_code=told["status_code"],
        retry_after_seconds=told["retry_after_seconds"],
        rate_limits=rate_limits_from(told["rate_limits"]),
    )
    return error
