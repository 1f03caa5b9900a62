"""What a test may choose about the server.

Promises: every setting has a default under which nothing is slow, limited or wrong; settings may change while it runs.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fake_api.known_models import KNOWN_MODELS, KnownModel
from tests.fake_api.limits import Limit


@dataclass(slots=True, kw_only=True)
class Settings:
    """The knobs of the server.

    Parameters
    ----------
    api_key
        The one key that is right.
    models
        The models it knows.
    context_window
        Tokens a prompt may have, instead of each model's own window.
    limit_requests_per_minute, limit_tokens_per_minute
        The limits of every model. The defaults are shown in the headers like any limit, and too high to be met. 0
        requests is "not on this plan". None tokens is no limit on tokens, and no headers for it.
    limits_by_model
        Limits of single models, by any of their names.
    latency_seconds, latency_per_row_seconds
        Wait before each answer: a constant, and so much for each row (input, or row packed into one request).
    latency_hook
        Further seconds for a request, from its body.
    stream_interval_seconds
        Wait between two events of a stream; 0 sends them in one piece.
    embedding_dimension
        Instead of each model's own dimension.
    max_embedding_inputs, max_embedding_tokens
        What one embeddings request may carry (assumed figures: the API documents none).
    is_validation_error_nested
        Write 422 bodies in the older of the two observed shapes.
    is_tool_call_split
        Stream tool calls in pieces, as some hosted models do, rather than whole.
    clock, sleep
        Time, for limits and waiting; a test swaps them so as not to wait.
    log_limit
        How many requests the log keeps.
    """

    api_key: str = "fake-api-key"
    models: tuple[KnownModel, ...] = KNOWN_MODELS
    context_window: int | None = None
    limit_requests_per_minute: int = 10_000_000
    limit_tokens_per_minute: int | None = 10_000_000_000
    limits_by_model: Mapping[str, Limit] = field(default_factory=dict)
    latency_seconds: float = 0.0
    latency_per_row_seconds: float = 0.0
    latency_hook: Callable[[Mapping[str, Any]], float] | None = None
    stream_interval_seconds: float = 0.0
    embedding_dimension: int | None = None
    max_embedding_inputs: int = 512
    max_embedding_tokens: int = 16_384
    is_validation_error_nested: bool = False
    is_tool_call_split: bool = False
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    log_limit: int = 100_000
