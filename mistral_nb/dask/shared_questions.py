"""Questions that are being asked right now, on any worker that keeps its answers in the same file.

Keeps to itself: what other workers own.
Promises: as `InFlight` does, and that a question which another worker asks is waited for: its answer is in the file by then, where
`mistral_nb.engine.shared_questions` looks before it asks.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from mistral_nb.dask.line import Line
from mistral_nb.engine.in_flight import InFlight, Told
from mistral_nb.errors import CannotConnect


class SharedInFlight(InFlight):
    """The questions under way on all workers with this file.

    Parameters
    ----------
    line
        To the coordinator.
    scope
        The file, by its machine and path.
    """

    def __init__(self, line: Line, scope: str) -> None:
        super().__init__()
        self._line = line
        self._scope = scope
        self._ours: set[bytes] = set()
        self._runs: Counter[bytes] = Counter()  # of this process that announced it and have not ended
        self._theirs: dict[bytes, list[Told]] = {}
        self._listening: asyncio.Task[None] | None = None

    async def announce(self, keys: Sequence[bytes]) -> None:
        self._runs.update(keys)
        told = await self._line.ask("announce", scope=self._scope, keys=list(keys))
        foreign = set(told["foreign"])
        self._ours.update(key for key in keys if key not in foreign)
        for key in foreign:
            self._theirs.setdefault(key, [])
        if self._theirs and self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._listen())

    def withdraw(self, keys: Collection[bytes]) -> None:
        for key in keys:
            self._runs[key] -= 1
            if self._runs[key] > 0:
                continue
            del self._runs[key]
            if key in self._theirs or (key in self._ours and not self.is_claimed(key)):
                self._theirs.pop(key, None)
                self._end(key, is_answered=False)

    def claim(self, key: bytes) -> bool:
        return key not in self._theirs and super().claim(key)

    def join(self, key: bytes, told: Told) -> None:
        if key in self._theirs:
            self._theirs[key].append(told)
        else:
            super().join(key, told)

    def finish(self, key: bytes, answer: Any | None) -> None:
        super().finish(key, answer)
        if key in self._ours:
            self._end(key, is_answered=answer is not None)

    def _end(self, key: bytes, *, is_answered: bool) -> None:
        self._ours.discard(key)
        self._line.tell("questions", (self._scope, key, is_answered), as_calls=_as_calls)

    async def _listen(self) -> None:
        """Have those who wait look again when another worker has ended with their question."""
        try:
            while self._theirs:
                told = await self._line.ask("news")
                for key in told["inherited"]:
                    self._ours.add(key)
                    if not self._runs[key]:
                        self._end(key, is_answered=False)
                for key in [*told["ended"], *told["inherited"]]:
                    for look_again in self._theirs.pop(key, ()):
                        look_again(None)
        except CannotConnect:
            for key in list(self._theirs):
                for look_again in self._theirs.pop(key):
                    look_again(None)
        finally:
            self._listening = None


def _as_calls(messages: list[Any]) -> list[tuple[str, dict[str, Any]]]:
    calls = []
    for scope in {scope for scope, _, _ in messages}:
        ended = {True: [key for of, key, how in messages if of == scope and how]}
        ended[False] = [key for of, key, how in messages if of == scope and not how]
        calls.append(("finish", {"scope": scope, "answered": ended[True], "given_up": ended[False]}))
    return calls
