"""What a server that refuses or struggles causes: fewer requests at once, one pause for all, a guess at the limit.

Keeps to itself: how fast each of them grows and shrinks.
Promises: each class is told what happened and decides from that alone; none reads a clock or waits.
"""

import math
from collections.abc import Callable

from mistral_nb.engine.pacing import WINDOW_SECONDS, LastMinute

# Until a first response tells the limits: the smallest published one is 4 requests a minute.
_FIRST_CONCURRENCY = 4

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0
# Part of a pause that jitter never takes away: a pause of nothing would be another 429.
_PAUSE_FLOOR = 0.25
_SHORTEST_TRIAL_SECONDS = 1.0

# A refusal that lasts this long comes from a limit per minute; a shorter one from a limit per second or so.
_LONG_REFUSAL_SECONDS = 5.0
_RATE_SECONDS = 5
_FIRST_GROWTH = 0.05
_MOST_GROWTH = 1.0


class Concurrency:
    """How many requests may be under way at once: doubled by each round trip at first, then adapted.

    It is halved at most once for all requests that were under way at the same time, and grows by one for each round of answers.
    """

    __slots__ = ("_answers", "_decreased_at", "_peak", "_successes", "_threshold", "allowed", "most")

    def __init__(self, most: int, *, is_limit_known: bool) -> None:
        self.most = most
        self.allowed = most if is_limit_known else min(_FIRST_CONCURRENCY, most)
        self._threshold = most
        self._successes = 0
        self._decreased_at = -1
        self._answers = 0
        self._peak = 0

    def open(self) -> None:
        """Allow the most at once, if nothing was ever wrong: from now on the known limits pace."""
        if self._decreased_at < 0:
            self.allowed = self.most

    def sent(self, in_flight: int) -> None:
        self._peak = max(self._peak, in_flight)

    def grow(self, in_flight: int, *, is_paced: bool) -> None:
        """Allow more after an answer, where what is allowed is used; `is_paced` says that known limits hold back anyway."""
        if self.allowed >= self.most:
            return
        is_used = self._peak * 2 >= self.allowed
        self._answers += 1
        if self._answers >= self.allowed:
            self._answers, self._peak = 0, in_flight
        if not is_used:
            return
        self._successes += 1
        if is_paced or self.allowed < self._threshold or self._successes >= self.allowed:
            self.allowed += 1
            self._successes = 0

    def decrease(self, number: int, *, last_sent: int) -> None:
        """Allow half, unless the request of this number was sent before that was last done."""
        if number > self._decreased_at:
            self._decreased_at = last_sent
            self.allowed = self._threshold = max(1, self.allowed // 2)
            self._successes = 0


class Pause:
    """Nobody sends for a while; then one request at a time tries, until one is answered."""

    __slots__ = ("_began_at", "_jitter", "_last_sent", "_refusals", "_trial_seconds", "_trial_until", "_until")

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        self._refusals = 0
        self._last_sent = -1
        self._began_at = -math.inf
        self._until = -math.inf
        self._trial_seconds = _SHORTEST_TRIAL_SECONDS
        self._trial_until = -math.inf

    @property
    def is_on(self) -> bool:
        """Whether no request has been answered since the last refusal."""
        return self._refusals > 0

    def is_before(self, number: int) -> bool:
        """Whether the request was sent before the pause began, so that its end says nothing new."""
        return number <= self._last_sent

    def begin(self, now: float, *, last_sent: int, refusal_seconds: float) -> None:
        """Pause, longer with each refusal in a row; `refusal_seconds` is how long the server took to refuse."""
        longest = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2.0 ** min(self._refusals, 10))
        if not self._refusals:
            self._began_at = now
        self._refusals += 1
        self._last_sent = last_sent
        # A refusal is quick and an answer slow: what was not refused by then is taken to be let through.
        self._trial_seconds = max(_SHORTEST_TRIAL_SECONDS, 2 * refusal_seconds)
        self._trial_until = -math.inf
        self.hold_until(now + longest * max(_PAUSE_FLOOR, self._jitter()))

    def hold_until(self, until: float) -> None:
        self._until = max(self._until, until)

    def let_one_try(self, *, last_sent: int) -> None:
        """Send one request at a time until one is answered."""
        self._refusals = max(1, self._refusals)
        self._last_sent = last_sent

    def wait_seconds(self, now: float) -> float:
        until = max(self._trial_until, self._until)
        return until - now if until > now else 0.0

    def sent(self, now: float) -> None:
        if self._refusals:
            self._trial_until = now + self._trial_seconds

    def came_back(self, number: int) -> None:
        """The request tries no longer, however it ended."""
        if number > self._last_sent:
            self._trial_until = -math.inf

    def end(self) -> float:
        """Let everybody go; return how long nothing could be sent."""
        self._refusals = 0
        return self._until - self._began_at


class GuessedLimit:
    """The limit on requests per minute as refusals show it, for servers that send no headers.

    What went through before the refusal is the guess. Each further refusal lowers it; each minute without one raises it, twice as
    much as the minute before.
    """

    __slots__ = ("_growth", "_in_last_minute", "_in_last_seconds", "_quiet_since", "_seconds", "per_minute")

    def __init__(self) -> None:
        self.per_minute: float | None = None
        self._growth = _FIRST_GROWTH
        self._quiet_since = 0.0
        self._in_last_minute = 0
        self._in_last_seconds = 0
        self._seconds = 1.0

    def refused(self, sent: LastMinute, now: float) -> None:
        """Note, at the first refusal, what was sent until then; `sent` holds no refused request."""
        self._in_last_minute = sent.total(now)
        self._in_last_seconds = sent.total_of_last(_RATE_SECONDS, now)
        self._seconds = max(1.0, min(_RATE_SECONDS, sent.seconds_since_first(now)))

    def refused_too(self) -> None:
        """Note that another of those that were sent until then did not go through."""
        self._in_last_minute -= 1
        self._in_last_seconds -= 1

    def forget(self) -> None:
        self.per_minute = None
        self._in_last_minute = 0

    def forget_refusal(self) -> None:
        """Conclude nothing from the present refusal: it does not come from the account's limit."""
        self._in_last_minute = 0

    def refusal_over(self, seconds: float, now: float) -> None:
        """Guess, when requests go through again after so long."""
        if self._in_last_minute <= 0:
            return
        is_long = seconds >= _LONG_REFUSAL_SECONDS
        at_last_rate = self._in_last_seconds * WINDOW_SECONDS / self._seconds
        guess = max(1.0, self._in_last_minute if is_long else at_last_rate)
        if self.per_minute is not None:
            lower = max(1.0, self.per_minute / (1 + _FIRST_GROWTH))
            guess = min(guess, lower) if is_long else lower  # the rate of what is paced already says little
        self.per_minute = guess
        self._growth = _FIRST_GROWTH
        self._quiet_since = now

    def answered(self, now: float) -> None:
        """Raise the guess when a minute has passed without a refusal."""
        if self.per_minute is not None and now - self._quiet_since >= WINDOW_SECONDS:
            self.per_minute *= 1 + self._growth
            self._growth = min(_MOST_GROWTH, 2 * self._growth)
            self._quiet_since = now
