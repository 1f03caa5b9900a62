"""Leave to send that comes from the coordinator, several requests at a time.

Keeps to itself: what was given and is not used yet, and who waits for it here.
Promises: leave is used or given back within a moment; who is cancelled leaves no trace. Used on the background loop.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mistral_nb.dask.line import Line
from mistral_nb.dask.wire import LimiterState, error_from, told_error, told_rate_limits
from mistral_nb.engine.limiter import Reservation
from mistral_nb.errors import CannotConnect, MistralNotebookError
from mistral_nb.rate_limits import RateLimits

# Leave that nobody takes is given back: others may be waiting for it.
_UNUSED_SECONDS = 0.1
# Of requests that are ready at the same time, some are longer than the one that leave was asked for; on average they are not.
_LONGEST_OF_THE_LIKE = 2


@dataclass(slots=True, eq=False)
class _Waiter:
    tokens: int
    further: int
    is_urgent: bool
    future: "asyncio.Future[Reservation]"


class SharedLimits:
    """The limits of one model that all workers keep together: a `mistral_nb.engine.leave.LeaveToSend`.

    Parameters
    ----------
    line
        To the coordinator.
    limits
        What the limiter there is made of, and the account it is for.
    """

    def __init__(self, line: Line, limits: Mapping[str, Any]) -> None:
        self._line = line
        self._limits = dict(limits)
        self._max_concurrency: int = limits["max_concurrency"]
        self._state = LimiterState()
        self._unused: deque[Reservation] = deque()
        self._waiting: deque[_Waiter] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._return_timer: asyncio.TimerHandle | None = None

    @property
    def is_known(self) -> bool:
        return self._state.is_known

    @property
    def max_concurrency(self) -> int:
        return self._max_concurrency

    @property
    def burst_requests(self) -> int:
        """This worker's part of what may go at once."""
        return self._state.burst_requests

    @property
    def requests_per_minute(self) -> int | None:
        return self._state.requests_per_minute

    @property
    def tokens_per_minute(self) -> int | None:
        return self._state.tokens_per_minute

    def seconds_for(self, *, requests: int, tokens: int) -> float | None:
        """Return the least time in which so much can be sent by the limits that were last heard of."""
        by_limit = [
            amount * 60 / limit
            for amount, limit in ((requests, self.requests_per_minute), (tokens, self.tokens_per_minute))
            if limit is not None
        ]
        return max(by_limit) if by_limit else None

    def try_reserve(self, tokens: int) -> Reservation | None:
        if self._waiting or not self._unused or tokens > _LONGEST_OF_THE_LIKE * self._unused[0].tokens:
            return None
        return self._unused.popleft()

    async def reserve(self, tokens: int, *, is_urgent: bool = False, further: int = 0) -> Reservation:
        waiter = _Waiter(tokens, further, is_urgent, asyncio.get_running_loop().create_future())
        (self._waiting.appendleft if is_urgent else self._waiting.append)(waiter)
        self._serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            elif not waiter.future.cancelled() and waiter.future.exception() is None:
                waiter.future.result().unsent()
            raise

    def _serve(self) -> None:
        """Give what is there to those who wait, ask for more for the rest, and have what is left given back."""
        while self._waiting and self._unused:
            waiter = self._waiting[0]
            if not waiter.future.done():
                if waiter.tokens > _LONGEST_OF_THE_LIKE * self._unused[0].tokens:
                    break
                waiter.future.set_result(self._unused.popleft())
            self._waiting.popleft()
        if self._waiting and self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._ask())
        if self._unused and self._return_timer is None:
            self._return_timer = asyncio.get_running_loop().call_later(_UNUSED_SECONDS, self._return_unused)

    async def _ask(self) -> None:
        """Ask for all who wait, until nobody does."""
        try:
            while self._waiting:
                first = self._waiting[0]
                count = sum(1 + waiter.further for waiter in self._waiting)
                told = await self._line.ask(
                    "leave", limits=self._limits, count=count, tokens=first.tokens, is_urgent=first.is_urgent
                )
                if "error" in told:
                    raise error_from(told["error"])
                self._state = LimiterState(*told["state"])
                if not told["granted"]:
                    raise CannotConnect(
                        "The scheduler has lost this worker.", "Compute it again: what is answered is kept."
                    )
                given = [self._reservation(number, first.tokens) for number in told["granted"]]
                if given and self._waiting and self._waiting[0] is first:  # what was asked for it fits it
                    self._waiting.popleft()
                    if first.future.done():
                        self._unused.append(given.pop())
                    else:
                        first.future.set_result(given.pop())
                self._unused.extend(given)
                self._serve()
        except MistralNotebookError as error:
            self._turn_away(error)
        finally:
            self._asking = None
            # Where something else went wrong, nobody is left waiting.
            self._turn_away(CannotConnect("The scheduler gave no leave to send.", "Compute it again."))

    def _turn_away(self, error: MistralNotebookError) -> None:
        for waiter in self._waiting:
            if not waiter.future.done():
                waiter.future.set_exception(error)
        self._waiting.clear()

    def _return_unused(self) -> None:
        self._return_timer = None
        while self._unused:
            self._unused.popleft().unsent()

    def _reservation(self, number: int, tokens: int) -> Reservation:
        def settled(reservation: Reservation, used_tokens: int, rate_limits: RateLimits | None) -> None:
            self._tell([number, "settled", used_tokens, told_rate_limits(rate_limits)])

        def failed(reservation: Reservation, error: MistralNotebookError) -> None:
            self._tell([number, "failed", told_error(error)])

        reservation = Reservation(
            settled,
            failed,
            lambda reservation: self._tell([number, "released"]),
            lambda reservation: self._tell([number, "unsent"]),
        )
        reservation.number, reservation.asked_tokens, reservation.tokens = number, tokens, tokens
        return reservation

    def _tell(self, message: list[Any]) -> None:
        def as_calls(messages: list[Any]) -> list[tuple[str, dict[str, Any]]]:
            return [("end", {"limits": self._limits, "ended": messages})]

        self._line.tell(f"leave {id(self)}", message, as_calls=as_calls)
