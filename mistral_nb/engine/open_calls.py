"""The calls that are under way in a session, and its closing once the last of them has ended.

Keeps to itself: the count of calls, of all threads.
Promises: nothing that is under way is cut, and `close` is called as soon as nothing is. Who goes on with a session when other
settings hold is told: a budget that was set since does not hold for it.
"""

import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

from mistral_nb.readers_code import readers_stacklevel

T = TypeVar("T")

_REPLACED = (
    "This session has the settings from before the last change; budgets and keys that were set since do not hold for it.\n"
    "Ask the one that has them: mistral_nb.session()"
)


class OpenCalls:
    """The calls that are under way.

    Parameters
    ----------
    close
        What is to happen when none is, once no further ones are to come.
    is_outdated
        Whether other settings hold by now than those that the calls go by.
    """

    def __init__(self, close: Callable[[], None], *, is_outdated: Callable[[], bool]) -> None:
        self._close = close
        self._is_outdated = is_outdated
        self._lock = threading.Lock()
        self._count = 0
        self._closes_after_last = False

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count what is done inside as a call."""
        with self._lock:
            is_first = self._count == 0
            self._count += 1
        try:
            if is_first and self._is_outdated():
                warnings.warn(_REPLACED, UserWarning, stacklevel=readers_stacklevel())
            yield
        finally:
            with self._lock:
                self._count -= 1
                is_last = self._closes_after_last and self._count == 0
            if is_last:
                self._close()

    def one_while(self, pieces: Generator[T]) -> Generator[T]:
        """Yield the pieces, as a call that lasts until they end or the reader leaves."""
        with self.one(), closing(pieces):
            yield from pieces

    def close_after_last(self) -> None:
        """Close now, or as soon as no call is under way."""
        with self._lock:
            self._closes_after_last = True
            is_idle = self._count == 0
        if is_idle:
            self._close()
