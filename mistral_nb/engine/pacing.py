"""How much may still be used this minute: of requests, or of tokens.

Keeps to itself: the bucket that spaces out, the log of the last minute that forbids, and how other clients' use is guessed.
Promises: in no 60 seconds is more used than the limit, an idle minute saves up no more than `BURST_SECONDS` of it, and memory
and time per request do not grow with the limit.
"""

import math

WINDOW_SECONDS = 60
BURST_SECONDS = 5.0
# The rest absorbs that requests arrive a little closer together than they were sent.
SHARE_OF_LIMIT = 0.97

_CELLS = WINDOW_SECONDS + 2
_TINY = 1e-6


class LastMinute:
    """A sum over the last minute, in cells of a second: each counts for 61 to 62, as it may reach the server late."""

    __slots__ = ("_cells", "_second", "_total")

    def __init__(self) -> None:
        self._cells = [0] * _CELLS
        self._second = 0
        self._total = 0

    def add(self, amount: int, now: float) -> tuple[int, int]:
        """Count the amount; return the second it is filed under, and the sum."""
        self._turn(now)
        self._cells[self._second % _CELLS] += amount
        self._total += amount
        return self._second, self._total

    def correct(self, difference: int, second: int, now: float) -> None:
        """Add the difference to what was filed under the second, unless that has left the log."""
        self._turn(now)
        if self._second - second < _CELLS:
            self._cells[second % _CELLS] += difference
            self._total += difference

    def total(self, now: float) -> int:
        self._turn(now)
        return self._total

    def total_of_last(self, seconds: int, now: float) -> int:
        self._turn(now)
        return sum(self._cells[(self._second - age) % _CELLS] for age in range(seconds))

    def seconds_since_first(self, now: float) -> float:
        """Return how long ago the oldest amount that still counts was filed; 0 when there is none."""
        self._turn(now)
        ages = (age for age in range(_CELLS - 1, -1, -1) if self._cells[(self._second - age) % _CELLS])
        return now - self._second + next(ages, 0)

    def seconds_until_freed(self, amount: int, now: float) -> float:
        """Return when so much will have left the log; infinite when it never held as much."""
        self._turn(now)
        freed = 0
        for age in range(_CELLS - 1, -1, -1):
            freed += self._cells[(self._second - age) % _CELLS]
            if freed >= amount:
                return self._second - age + _CELLS - now
        return math.inf

    def _turn(self, now: float) -> None:
        second = int(now)
        if second == self._second:
            return
        for passed in range(max(self._second + 1, second - _CELLS + 1), second + 1):
            place = passed % _CELLS
            self._total -= self._cells[place]
            self._cells[place] = 0
        self._second = second


class Meter:
    """The use of one thing that is limited per minute; without a limit it only counts.

    Parameters
    ----------
    is_sliding
        Whether the server's count slides, so that what it said last of other clients' use holds, and not the most of it that
        it said in the last minute.
    """

    __slots__ = (
        "_capacity",
        "_filled_at",
        "_foreign",
        "_foreign_until",
        "_is_sliding",
        "_level",
        "_per_second",
        "limit",
        "log",
    )

    def __init__(self, *, is_sliding: bool = False) -> None:
        self._is_sliding = is_sliding
        self.log = LastMinute()
        self.limit: float | None = None
        self._per_second = 0.0
        self._capacity = 0.0
        self._level = 0.0
        self._filled_at = 0.0
        self._foreign = 0
        self._foreign_until = 0.0

    def set_limit(self, limit: float | None, now: float, *, burst_seconds: float = BURST_SECONDS) -> None:
        """Keep to this limit from now on; what was used in the last minute counts against it.

        So much as is allowed in `burst_seconds`, and at least one request, may go at once.
        """
        if limit == self.limit:
            return
        is_first = self.limit is None
        self._fill(now)
        self.limit = limit
        if limit is None:
            return
        self._per_second = SHARE_OF_LIMIT * limit / WINDOW_SECONDS
        self._capacity = max(1.0, limit * burst_seconds / WINDOW_SECONDS)
        if is_first:
            refilled = self._per_second * self.log.seconds_since_first(now)
            self._level = self._capacity - self.log.total(now) + refilled
            self._filled_at = now
        self._level = min(self._level, self._capacity)

    def take(self, amount: int, now: float) -> tuple[int, int]:
        """Use the amount; return the second it is filed under, for `correct`, and what was used in the last minute."""
        self._fill(now)
        self._level -= amount
        return self.log.add(amount, now)

    def correct(self, difference: int, second: int, now: float) -> None:
        """Replace an amount that was used in that second by one that is larger by the difference."""
        if difference:
            self._fill(now)
            self._level = min(self._capacity, self._level - difference)
            self.log.correct(difference, second, now)

    def notice(self, remaining: int | None, *, of: int | None, ours: int, now: float) -> bool:
        """Take what the server says is left of the limit; return whether other clients have used it up.

        What the server has counted and we have not is other clients' use; `ours` is what we had counted when the request was sent.
        """
        if remaining is None or not of:
            return False
        ours = max(ours, self.log.total(now))
        foreign = max(0, of - remaining - ours)
        if self._is_sliding or foreign >= self._foreign or now >= self._foreign_until:
            self._foreign = foreign
            self._foreign_until = now + WINDOW_SECONDS
        if self._is_sliding and self.limit is not None:
            self._fill(now)
            self._level = min(self._level, remaining)
        # Nearly all of it is our own where rounding and answers under way explain the difference.
        return remaining == 0 and ours < 0.9 * of

    def wait_seconds(self, amount: int, now: float) -> float:
        """Return how long until the amount may be used, if nobody else uses any; 0 when it may now."""
        if self.limit is None:
            return 0.0
        self._fill(now)
        missing = min(amount, self._capacity) - self._level
        wait_seconds = missing / self._per_second if missing > _TINY else 0.0
        foreign = self._foreign if now < self._foreign_until else 0
        over = self.log.total(now) + foreign + min(amount, self.limit) - self.limit
        if over > _TINY:
            freed = self.log.seconds_until_freed(math.ceil(over), now)
            if foreign:
                freed = min(freed, self._foreign_until - now)
            # An amount near the limit, less what is rounded: nothing is left to be freed.
            wait_seconds = max(wait_seconds, freed if freed < math.inf else 0.0)
        return wait_seconds

    def room(self, now: float) -> float:
        """Return how much could be used at once now; infinite without a limit."""
        if self.limit is None:
            return math.inf
        self._fill(now)
        foreign = self._foreign if now < self._foreign_until else 0
        return max(0.0, min(self._level, self.limit - self.log.total(now) - foreign))

    def seconds_for(self, amount: int, now: float) -> float:
        """Return the least time in which so much can be used."""
        return max(0.0, amount - self.room(now)) / self._per_second if self.limit is not None else 0.0

    def _fill(self, now: float) -> None:
        if self.limit is not None and now > self._filled_at:
            level = self._level + (now - self._filled_at) * self._per_second
            self._level = min(self._capacity, level)
        self._filled_at = now
