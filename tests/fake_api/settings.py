"""What a test may choose about the server.

Promises: every setting has a default under which nothing is slow, limited or wrong; settings may change while it runs.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from tests.fake_api.known_models import KNOWN_MODELS, KnownModel
from tests.fake_api.limits import Limit

if TYPE_CHECKING:
    from tests.fake_api.faults import Fault


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
    log_probabilities
        What becomes of `logprobs`, of which the SDK knows and the published specification does not: "given", "left out" of the
        answer, or "refused" as a field that there is not.
    is_validation_error_nested
        Write 422 bodies in the older of the two observed shapes.
    is_tool_call_split
        Stream tool calls in pieces, as some hosted models do, rather than whole.
    has_batch
        Whether there are batch jobs and files; without them their paths do not exist.
    batch_statuses, batch_seconds_per_status
        The statuses of a job after "QUEUED": each look at it shows the next, once the one before has lasted so long.
    batch_fault
        What a request of a job meets, from its text: a status, a content, or `reset` for one that is not processed.
    batch_share_before_an_early_end
        How much of a job is answered when it ends otherwise than in success.
    batch_shows_outputs
        Whether a look at an inline job that has ended shows its outputs.
    batch_kept_seconds
        How long the outputs of a job are kept after its end.
    batch_max_inline_requests, batch_max_file_requests, batch_max_file_bytes
        What is refused beyond.
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
    log_probabilities: Literal["given", "left out", "refused"] = "given"
    is_validation_error_nested: bool = False
    is_tool_call_split: bool = False
    has_batch: bool = True
    batch_statuses: Sequence[str] = ("RUNNING", "SUCCESS")
    batch_seconds_per_status: float = 0.0
    batch_fault: "Callable[[str], Fault] | None" = None
    batch_share_before_an_early_end: float = 0.5
    batch_shows_outputs: bool = True
    batch_kept_seconds: float = 86_400.0
    batch_max_inline_requests: int = 10_000
    batch_max_file_requests: int = 100_000
    batch_max_file_bytes: int = 512_000_000
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    log_limit: int = 100_000
