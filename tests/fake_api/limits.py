"""Requests and tokens per minute, counted the way the recorded headers count them.

Keeps to itself: the two windows. Recorded on 2026-08-19: the request count starts again at each full minute, while
the token count slides: what the last minute used still counts for the share of it that is less than a minute ago.
Promises: a request is admitted or not, and either way the headers say what is left. Minutes are counted from the first
use and not from the wall clock, so that a test never straddles one by accident.
"""

from collections.abc import Callable
from dataclasses import dataclass

WINDOW_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """What one model may use in a minute; `requests_per_minute=0` is how the API says "not on this plan"."""

    requests_per_minute: int
    tokens_per_minute: int | None


@dataclass(frozen=True, slots=True)
class Admission:
    is_admitted: bool
    remaining_requests: int


class MinuteCounter:
    """The use of one model, against one limit."""

    def __init__(self, limit: Limit, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._clock = clock
        self._started_at = clock()
        self._minute = 0
        self._requests = 0
        self._tokens = 0
        self._tokens_before = 0

    def admit(self, prompt_tokens: int) -> Admission:
        """Count one request if it fits. A rejected one does not count (assumed)."""
        self._turn()
        limit = self._limit
        if self._requests >= limit.requests_per_minute:
            return Admission(False, 0)
        if limit.tokens_per_minute is not None and self._used_tokens() + prompt_tokens > limit.tokens_per_minute:
            return Admission(False, limit.requests_per_minute - self._requests)
        self._requests += 1
        return Admission(True, limit.requests_per_minute - self._requests)

    def charge(self, tokens: int) -> None:
        """Count the tokens of an answer: input and output, as the limit does."""
        self._turn()
        self._tokens += tokens

    def headers(self, admission: Admission, query_cost: int | None = None) -> dict[str, str]:
        """Return the rate-limit headers; without a limit on tokens the pair is absent, as on recorded embeddings."""
        headers = {
            "x-ratelimit-limit-req-minute": str(self._limit.requests_per_minute),
            "x-ratelimit-remaining-req-minute": str(admission.remaining_requests),
        }
        tokens_per_minute = self._limit.tokens_per_minute
        if tokens_per_minute is not None:
            self._turn()
            headers["x-ratelimit-limit-tokens-minute"] = str(tokens_per_minute)
            headers["x-ratelimit-remaining-tokens-minute"] = str(max(0, tokens_per_minute - self._used_tokens()))
        if query_cost is not None:
            headers["x-ratelimit-tokens-query-cost"] = str(query_cost)
        return headers

    def _turn(self) -> None:
        minute = int((self._clock() - self._started_at) // WINDOW_SECONDS)
        if minute != self._minute:
            self._tokens_before = self._tokens if minute == self._minute + 1 else 0
            self._tokens = self._requests = 0
            self._minute = minute

    def _used_tokens(self) -> int:
        elapsed = (self._clock() - self._started_at) % WINDOW_SECONDS
        return self._tokens + int(self._tokens_before * (1 - elapsed / WINDOW_SECONDS))
