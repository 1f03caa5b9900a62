"""Which errors are tried again, how often, and how long is waited in between.

Promises: exponential waits with full jitter, so that many rows that fail together do not come back together; a wait that the
server names (Retry-After) is kept, up to the cap; errors that waiting can't cure are raised at once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from mistral_nb.errors import MistralNotebookError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How patient a request is.

    Attributes
    ----------
    max_attempts
        Attempts in all. The default outlasts a limit that counts by the minute: the waits add up to 46 s on average and
        91 s at most.
    first_wait_seconds, max_wait_seconds
        The longest first wait, which doubles with each attempt up to the cap.
    """

    max_attempts: int = 8
    first_wait_seconds: float = 1.0
    max_wait_seconds: float = 30.0

    def wait_seconds(self, failed_attempts: int, error: MistralNotebookError) -> float:
        """Return how long to wait after so many failed attempts."""
        longest = min(self.max_wait_seconds, self.first_wait_seconds * 2.0 ** (failed_attempts - 1))
        if error.retry_after_seconds is not None:
            return min(error.retry_after_seconds, self.max_wait_seconds)
        return random.uniform(0, longest)  # noqa: S311  # jitter is no secret

    async def attempt(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return what `call` gives at the first attempt that succeeds; raise its last error otherwise."""
        for attempt in range(1, self.max_attempts):
            try:
                return await call()
            except MistralNotebookError as error:
                if not error.is_worth_retrying:
                    raise
                await asyncio.sleep(self.wait_seconds(attempt, error))
        return await call()
