"""Those who wait for leave to send, and when to look again whether the first of them may.

Keeps to itself: the order, the futures and the one alarm.
Promises: the urgent go first, then first come, first served; everybody who fits is let go at the same time, and nobody past one who
does not fit; who is cancelled leaves no trace.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_SHORTEST_ALARM_SECONDS = 0.001


@dataclass(slots=True, eq=False)
class _Waiter(Generic[T]):
    tokens: int
    future: asyncio.Future[T]


class WaitingLine(Generic[T]):
    """A line for leave to send (`T`), and behind it one for a slot, in which nothing is reserved.

    Parameters
    ----------
    wait_seconds, slot_wait_seconds
        How long until a request of so many tokens, or any, may go: 0 for now, infinite when nothing but a call of `serve` can tell.
    give
        Gives leave for so many tokens, when that is 0.
    take_back
        Takes back a leave whose receiver was cancelled before using it.
    clock, sleep
        Time in seconds, and how to wait for it.
    """

    def __init__(
        self,
        *,
        wait_seconds: Callable[[int, float], float],
        slot_wait_seconds: Callable[[float], float],
        give: Callable[[int, float], T],
        take_back: Callable[[T], None],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._wait_seconds = wait_seconds
        self._slot_wait_seconds = slot_wait_seconds
        self._give = give
        self._take_back = take_back
        self._clock = clock
        self._sleep = sleep
        self._urgent: deque[_Waiter[T]] = deque()
        self._rows: deque[_Waiter[T]] = deque()
        self._slots: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = math.inf

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits for leave."""
        return not self._urgent and not self._rows

    async def leave(self, tokens: int, *, is_urgent: bool) -> T:
        """Wait for leave to send so many tokens."""
        queue = self._urgent if is_urgent else self._rows
        waiter: _Waiter[T] = _Waiter(tokens, asyncio.get_running_loop().create_future())
        queue.append(waiter)
        self.serve()
        try:
            return await waiter.future
        except asyncio.CancelledError:
            if waiter in queue:
                queue.remove(waiter)
                self.serve()
            elif not waiter.future.cancelled() and waiter.future.exception() is None:
                self._take_back(waiter.future.result())
            raise

    async def slot(self) -> None:
        """Wait until nobody waits for leave and there is room for one more."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._slots.append(future)
        self.serve()
        try:
            await future
        except asyncio.CancelledError:
            if future in self._slots:
                self._slots.remove(future)
            elif not future.cancelled():
                future.exception()  # asyncio complains of one that nobody looks at
            self.serve()
            raise

    def serve(self) -> None:
        """Let go who fits now, and set the alarm for the next."""
        if not (self._urgent or self._rows or self._slots or self._alarm):
            return
        now = self._clock()
        wait_seconds = math.inf
        while queue := (self._urgent or self._rows):
            waiter = queue[0]
            if not waiter.future.done():
                wait_seconds = self._wait_seconds(waiter.tokens, now)
                if wait_seconds > 0:
                    break
                waiter.future.set_result(self._give(waiter.tokens, now))
            queue.popleft()
        else:
            while self._slots:
                wait_seconds = self._slot_wait_seconds(now)
                if wait_seconds > 0:
                    break
                slot = self._slots.popleft()
                if not slot.done():
                    slot.set_result(None)
        self._set_alarm(wait_seconds, now)

    def turn_away(self, error: Callable[[], Exception]) -> None:
        """Raise an error, a new one each, where anybody waits."""
        futures: list[asyncio.Future[Any]] = [waiter.future for waiter in (*self._urgent, *self._rows)]
        for future in [*futures, *self._slots]:
            if not future.done():
                future.set_exception(error())
        self._urgent.clear()
        self._rows.clear()
        self._slots.clear()

    def _set_alarm(self, wait_seconds: float, now: float) -> None:
        """Look again after the wait; an alarm that rings sooner is left, as looking too early does no harm."""
        is_awaited = not self.is_empty or bool(self._slots)
        if self._alarm is not None and (not is_awaited or now + wait_seconds < self._alarm_at):
            self._alarm.cancel()
            self._alarm = None
        if is_awaited and wait_seconds < math.inf and self._alarm is None:
            self._alarm_at = now + wait_seconds
            self._alarm = asyncio.get_running_loop().create_task(self._look_again_after(wait_seconds))

    async def _look_again_after(self, wait_seconds: float) -> None:
        await self._sleep(max(wait_seconds, _SHORTEST_ALARM_SECONDS))
        self._alarm = None
        self.serve()
