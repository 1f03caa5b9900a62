"""Questions that are being asked right now, so that an equal one in another cell or thread waits for the same answer.

Used on the background loop only. Promises: a question has one owner at a time; whoever joins it is told its answer, or that the
owner gave up, exactly once.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

Told = Callable[[Any | None], None]


class InFlight:
    """The questions under way in one session, by the key of their answer."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, list[Told]] = {}

    async def announce(self, keys: Sequence[bytes]) -> None:
        """Hear of these questions, which a run is going to claim; other processes may be asking them."""

    def withdraw(self, keys: Collection[bytes]) -> None:
        """Hear that the run which announced these questions has ended."""

    def claim(self, key: bytes) -> bool:
        """Become the owner of the question; False when it has one."""
        if key in self._waiting:
            return False
        self._waiting[key] = []
        return True

    def is_claimed(self, key: bytes) -> bool:
        """Whether the question has an owner here."""
        return key in self._waiting

    def join(self, key: bytes, told: Told) -> None:
        """Have `told` called with the answer of a question that another owns, or with None when its owner gives up."""
        self._waiting[key].append(told)

    def finish(self, key: bytes, answer: Any | None) -> None:
        """End the ownership and tell all that joined."""
        for told in self._waiting.pop(key, ()):
            told(answer)
