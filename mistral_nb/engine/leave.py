"""Where leave to send comes from: a limiter of this process, or one that several processes share.

Promises: a protocol only. Whoever sends asks for leave and says how the request ended; who keeps the limits is not its business.
"""

from typing import Protocol

from mistral_nb.engine.limiter import Reservation


class LeaveToSend(Protocol):
    """The limits of one model, as those who send see them; `mistral_nb.engine.limiter.Limiter` says what each member gives."""

    @property
    def max_concurrency(self) -> int: ...

    @property
    def requests_per_minute(self) -> int | None: ...

    @property
    def tokens_per_minute(self) -> int | None: ...

    @property
    def is_known(self) -> bool: ...

    @property
    def burst_requests(self) -> int: ...

    def seconds_for(self, *, requests: int, tokens: int) -> float | None: ...

    def try_reserve(self, tokens: int) -> Reservation | None: ...

    async def reserve(self, tokens: int, *, is_urgent: bool = False, further: int = 0) -> Reservation:
        """Wait for leave; `further` is how many requests more are ready, for leave that comes several at a time."""
