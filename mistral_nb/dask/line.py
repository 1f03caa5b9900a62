"""The line from a worker to the coordinator of its cluster.

Keeps to itself: that messages which need no answer are gathered while others are under way.
Promises: `tell` returns at once and messages arrive in order; a line that is cut is an error of ours. Used on the background loop.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from mistral_nb.errors import CannotConnect

Ask = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]


class Line:
    """What a worker's session asks and tells.

    Parameters
    ----------
    call
        Calls a method of the coordinator with these arguments and returns what it gives; raises OSError when it can't be reached.
    """

    def __init__(self, call: Ask) -> None:
        self._call = call
        self._told: defaultdict[str, list[Any]] = defaultdict(list)
        self._how: dict[str, Callable[[list[Any]], list[tuple[str, dict[str, Any]]]]] = {}
        self._sending: asyncio.Task[None] | None = None

    async def ask(self, what: str, **arguments: Any) -> dict[str, Any]:
        """Return the coordinator's answer.

        Raises
        ------
        CannotConnect
            There is no coordinator any more.
        """
        try:
            return await self._call(what, arguments)
        except OSError as error:
            raise CannotConnect(
                f"The scheduler, which holds the cluster's limits, can't be reached: {type(error).__name__}.",
                "Start the cluster again: what is answered is kept and not paid for again.",
            ) from None

    def tell(
        self, topic: str, message: Any, *, as_calls: Callable[[list[Any]], list[tuple[str, dict[str, Any]]]]
    ) -> None:
        """Send a message soon, together with others of its topic; `as_calls` makes calls of several messages."""
        self._told[topic].append(message)
        self._how[topic] = as_calls
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def told(self) -> None:
        """Wait until everything that was told has arrived."""
        while self._sending is not None:
            await asyncio.shield(self._sending)

    async def _send(self) -> None:
        try:
            while self._told:
                told, self._told = self._told, defaultdict(list)
                for topic, messages in told.items():
                    for what, arguments in self._how[topic](messages):
                        await self._call(what, arguments)
        except OSError:  # the cluster ends; whoever asks for something hears of it
            self._told.clear()
        finally:
            self._sending = None
