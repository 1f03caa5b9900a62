"""What a response's headers say of the account's limits.

Keeps to itself: the names of the headers, recorded 2026-08 (``x-ratelimit-…``).
Promises: reading never fails; what a response does not say is None.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

_HEADERS = {
    "requests_per_minute": "x-ratelimit-limit-req-minute",
    "remaining_requests": "x-ratelimit-remaining-req-minute",
    "tokens_per_minute": "x-ratelimit-limit-tokens-minute",
    "remaining_tokens": "x-ratelimit-remaining-tokens-minute",
    "tokens_query_cost": "x-ratelimit-tokens-query-cost",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """Limits of one model, and what is left of them; some responses carry only a part.

    Attributes
    ----------
    requests_per_minute, tokens_per_minute
        The limits; 0 requests means that the model is not on this plan. Tokens are those read and written.
    remaining_requests, remaining_tokens
        What is left in this minute, this request already counted.
    tokens_query_cost
        The tokens that this request was counted as.
    """

    requests_per_minute: int | None = None
    remaining_requests: int | None = None
    tokens_per_minute: int | None = None
    remaining_tokens: int | None = None
    tokens_query_cost: int | None = None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self | None:
        """Return what the headers (names in lower case) say; None when they say nothing."""
        found = {name: _whole_number(headers.get(header)) for name, header in _HEADERS.items()}
        return cls(**found) if any(value is not None for value in found.values()) else None


def _whole_number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
