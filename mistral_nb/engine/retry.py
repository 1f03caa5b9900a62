"""Which errors are tried again, how often, and how long is waited in between.

Promises: exponential waits with full jitter, so that many rows that fail together do not come back together; a wait that the
server names (Retry-After) is kept, up to the cap; errors that waiting can't cure are raised at once.
"""

import asyncio
import random
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
        When a rate limit is reached, which counts by the minute: about 106 s of waiting on average.
    first_wait_seconds, max_wait_seconds
        The longest first wait, which doubles with each attempt up to the cap.
    """

    max_attempts: int = 5
    max_attempts_to_connect: int = 3
    max_attempts_when_limited: int = 12
    first_wait_seconds: float = 1.0
    max_wait_seconds: float = 30.0

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
        """Return how long to wait after so many failed attempts."""
        longest = min(self.max_wait_seconds, self.first_wait_seconds * 2.0 ** (failed_attempts - 1))
        if error.retry_after_seconds is not None:
            return min(error.retry_after_seconds, self.max_wait_seconds)
        return random.uniform(0, longest)  # noqa: S311  # jitter is no secret

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` gives at the first attempt that succeeds; raise its last error otherwise."""
        failed_attempts = 0
        while True:
            try:
                return await call()
            except MistralNotebookError as error:
                failed_attempts += 1
                if failed_attempts >= self.attempts(error):
                    raise
                wait_seconds = self.wait_seconds(failed_attempts, error)
            await asyncio.sleep(wait_seconds)
