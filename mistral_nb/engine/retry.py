"""Which errors are tried again, how often, and how long is waited in between.

Promises: exponential waits with full jitter, so that many rows that fail together do not come back together; a wait that the
server names (Retry-After) is kept, up to the cap; errors that waiting can't cure are raised at once; nothing is tried again when it
has already taken `max_seconds`. A reached rate limit is not waited for here: the limiter pauses once for everybody, and the next
attempt waits there for its turn.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from mistral_nb.errors import CannotConnect, MistralNotebookError, RateLimited

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a request is.

    Attributes
    ----------
    max_attempts
        Attempts in all when the server fails: about 8 s of waiting on average.
    max_attempts_to_connect
        When there is no connection at all: a wrong address or no network should be said soon.
    max_attempts_when_limited
        When a rate limit is reached, which counts by the minute: the pauses that the limiter makes in between grow to 30 s.
    max_seconds
        No attempt begins later than this after the first one began.
    first_wait_seconds, max_wait_seconds
        The longest first wait, which doubles with each attempt up to the cap.
    clock, sleep
        Time in seconds, and how to wait for it.
    """

    max_attempts: int = 5
    max_attempts_to_connect: int = 3
    max_attempts_when_limited: int = 12
    max_seconds: float = 300.0
    first_wait_seconds: float = 1.0
    max_wait_seconds: float = 30.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def attempts(self, error: MistralNotebookError) -> int:
        """Return how many attempts in all this error deserves."""
        if not error.is_worth_retrying:
            return 1
        if isinstance(error, RateLimited):
            return self.max_attempts_when_limited
        if isinstance(error, CannotConnect):
            return self.max_attempts_to_connect
        return self.max_attempts

    def wait_seconds(self, failed_attempts: int, error: MistralNotebookError) -> float:
        """Return how long to wait after so many failed attempts; 0 when the limiter does the waiting."""
        if isinstance(error, RateLimited):
            return 0.0
        if error.retry_after_seconds is not None:
            return min(error.retry_after_seconds, self.max_wait_seconds)
        longest = min(self.max_wait_seconds, self.first_wait_seconds * 2.0 ** (failed_attempts - 1))
        return random.uniform(0, longest)  # noqa: S311  # jitter is no secret

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` gives at the first attempt that succeeds; raise its last error otherwise.

        A call that can be `RateLimited` reserves with the limiter, each time, before it sends.
        """
        started_at = self.clock()
        failed_attempts = 0
        while True:
            try:
                return await call()
            except MistralNotebookError as error:
                failed_attempts += 1
                wait_seconds = self.wait_seconds(min(failed_attempts, 100), error)
                is_too_late = self.clock() + wait_seconds - started_at > self.max_seconds
                if failed_attempts >= self.attempts(error) or is_too_late:
                    raise
            await self.sleep(wait_seconds)
