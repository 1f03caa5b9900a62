"""An event loop whose time jumps to whatever comes next, so that minutes of waiting take milliseconds and no clock decides."""

import asyncio
import heapq
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Never waits: with nothing left to do now, its clock is put forward to the next timer."""

    def __init__(self, start: float = 1000.0) -> None:
        super().__init__()
        self._virtual_now = start

    def time(self) -> float:
        return self._virtual_now

    def _run_once(self) -> None:
        loop: Any = self
        while loop._scheduled and loop._scheduled[0]._cancelled:
            heapq.heappop(loop._scheduled)._scheduled = False
            loop._timer_cancelled_count -= 1
        if not loop._ready and loop._scheduled:
            self._virtual_now = max(self._virtual_now, loop._scheduled[0]._when)
        super()._run_once()  # type: ignore[misc]


def run_in_virtual_time(main: Callable[[], Awaitable[T]], *, start: float = 1000.0) -> T:
    """Return what the coroutine gives; anything that `asyncio` waits for passes at once."""

    async def awaited() -> T:
        return await main()

    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(start)) as runner:
        return runner.run(awaited())


def now() -> float:
    """Return the running loop's time."""
    return asyncio.get_running_loop().time()
