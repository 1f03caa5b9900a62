"""Python's search for unreachable cycles, made less often while many rows are asked.

A request makes some fifty objects, nearly all of which go without that search. At Python's own threshold it runs once for every
fifteen rows, and a full search goes through the whole notebook: 0.04 ms a row in a column of 3,000 rows, 0.06 ms in one of 40,000.

Keeps to itself: what the threshold was.
Promises: the user's own settings are back when the last run has ended; a collector that is off stays off.
"""

import gc
import threading

OBJECTS_BETWEEN_SEARCHES = 20_000


class SeldomCollected:
    """Within its blocks, which may overlap in several threads, the collector searches less often."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._before: tuple[int, int, int] | None = None

    def __enter__(self) -> None:
        with self._lock:
            self._open += 1
            own = gc.get_threshold()
            if self._open == 1 and 0 < own[0] < OBJECTS_BETWEEN_SEARCHES:
                self._before = own
                gc.set_threshold(OBJECTS_BETWEEN_SEARCHES, *own[1:])

    def __exit__(self, *exception: object) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0 and self._before is not None:
                if gc.get_threshold()[0] == OBJECTS_BETWEEN_SEARCHES:  # otherwise somebody has changed it meanwhile
                    gc.set_threshold(*self._before)
                self._before = None


collected_seldom = SeldomCollected()
