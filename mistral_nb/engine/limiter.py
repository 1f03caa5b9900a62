"""Who may send when, so that the limits of one model are used and not passed.

Keeps to itself: what is concluded from headers and from failures, and who is next.
Promises: first come, first served, a person who waits at a cell before rows; one pause for everybody, after which one request tries
whether it is over; a waiter that is cancelled leaves no trace. Everything happens on one event loop, without locks.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable

from mistral_nb.api_errors import error_from_response
from mistral_nb.engine.congestion import Concurrency, GuessedLimit, Pause
from mistral_nb.engine.pacing import WINDOW_SECONDS, Meter
from mistral_nb.engine.waiting_line import WaitingLine
from mistral_nb.errors import (
    AnswerProblem,
    ConnectionProblem,
    InvalidOption,
    MistralNotebookError,
    ModelNotOnPlan,
    RateLimited,
    RequestTimedOut,
    ServerProblem,
)
from mistral_nb.rate_limits import RateLimits

DEFAULT_MAX_CONCURRENCY = 64

_LONGEST_RETRY_AFTER_SECONDS = 120.0
_OVERLOAD_STATUS_CODES = {408, 503, 504, 529}
# Each answer moves the ratio of real to reserved tokens by about a tenth.
_MEMORY_OF_RATIO = 0.9


class Reservation:
    """Leave to send one request; `settle`, `failed`, `release` or `unsent` ends it, and whatever is called after that does nothing.

    Attributes
    ----------
    number
        How many reservations were made before this one.
    sent_at
        When it was made, in the limiter's time.
    asked_tokens, tokens
        The tokens that were asked for, and those that are held for it.
    """

    __slots__ = (
        "_failed",
        "_is_open",
        "_released",
        "_settled",
        "_unsent",
        "asked_tokens",
        "number",
        "second",
        "sent_at",
        "tokens",
        "used_requests",
        "used_tokens",
    )

    def __init__(
        self,
        settled: "Callable[[Reservation, int, RateLimits | None], None]",
        failed: "Callable[[Reservation, MistralNotebookError], None]",
        released: "Callable[[Reservation], None]",
        unsent: "Callable[[Reservation], None]",
    ) -> None:
        self._settled = settled
        self._failed = failed
        self._released = released
        self._unsent = unsent
        self._is_open = True
        self.asked_tokens = self.tokens = self.number = 0
        self.sent_at = 0.0
        self.second = self.used_requests = self.used_tokens = 0

    def settle(self, *, tokens: int, rate_limits: RateLimits | None) -> None:
        """Say that an answer came, how many tokens it took, and what its headers say of the limits."""
        if self._is_open:
            self._is_open = False
            self._settled(self, tokens, rate_limits)

    def failed(self, error: MistralNotebookError) -> None:
        """Say that the request failed; what was rejected is not counted."""
        if self._is_open:
            self._is_open = False
            self._failed(self, error)

    def release(self) -> None:
        """Say that nobody waits for the answer any more; the request stays counted, as the server may have counted it."""
        if self._is_open:
            self._is_open = False
            self._released(self)

    def unsent(self) -> None:
        """Say that the request was not sent after all: nothing is counted."""
        if self._is_open:
            self._is_open = False
            self._unsent(self)


class Limiter:
    """The limits of one model, and everybody who waits for them.

    Parameters
    ----------
    max_concurrency
        Most requests under way at once.
    requests_per_minute, tokens_per_minute
        Limits set by hand: what is learnt can only be lower.
    model
        The model's name, for errors.
    clock, sleep, jitter
        Time in seconds, and how to wait for it; random numbers from 0 to 1 for the length of pauses.

    Raises
    ------
    InvalidOption
        A number is less than 1.
    """

    def __init__(
        self,
        *,
        max_concurrency: int = DEFAULT_MAX_CONCURRENCY,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        model: str | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        _check_positive("max_concurrency", max_concurrency)
        _check_positive("requests_per_minute", requests_per_minute)
        _check_positive("tokens_per_minute", tokens_per_minute)
        self.in_flight = 0
        self._by_hand = (requests_per_minute, tokens_per_minute)
        self._of_headers: tuple[int | None, int | None] = (None, None)
        self._model = model
        self._clock = clock
        self._has_seen_response = False
        self._last_sent = -1
        self._requests = Meter()
        self._tokens = Meter(is_sliding=True)
        # Callers reserve for the longest answer they expect; the limits count what came.
        self._asked_tokens = 0.0
        self._real_tokens = 0.0
        self._concurrency = Concurrency(max_concurrency, is_limit_known=self.is_known)
        self._pause = Pause(jitter)
        self._guess = GuessedLimit()
        self._set_limits(clock())
        self._not_on_plan: ModelNotOnPlan | None = None
        self._not_on_plan_until = 0.0
        self._line = WaitingLine(
            wait_seconds=self._wait_seconds,
            slot_wait_seconds=self._slot_wait_seconds,
            give=self._reserved,
            take_back=Reservation.unsent,
            clock=clock,
            sleep=sleep,
        )

    @property
    def max_concurrency(self) -> int:
        """Most requests that may ever be under way at once."""
        return self._concurrency.most

    @property
    def concurrency(self) -> int:
        """Most requests that may be under way at once now."""
        return self._concurrency.allowed

    @property
    def requests_per_minute(self) -> int | None:
        """The limit that is kept: learnt or by hand; None while it is unknown."""
        return _whole(self._requests.limit)

    @property
    def tokens_per_minute(self) -> int | None:
        """The limit that is kept: learnt or by hand; None while it is unknown."""
        return _whole(self._tokens.limit)

    @property
    def is_known(self) -> bool:
        """Whether a response has been seen, or limits were set by hand."""
        return self._has_seen_response or self._by_hand != (None, None)

    @property
    def burst_requests(self) -> int:
        """How many requests the limit on requests lets go at once now, at least 1; without one, `max_concurrency`."""
        room = self._requests.room(self._clock())
        return self.max_concurrency if room == math.inf else max(1, int(room))

    def seconds_for(self, *, requests: int, tokens: int) -> float | None:
        """Return the least time in which so much can be sent, from now; None when no limit is known."""
        if self._requests.limit is None and self._tokens.limit is None:
            return None
        now = self._clock()
        return max(self._requests.seconds_for(requests, now), self._tokens.seconds_for(tokens, now))

    def try_reserve(self, tokens: int) -> Reservation | None:
        """Return leave to send a request of so many tokens, in and out; None when it would have to wait.

        Raises
        ------
        ModelNotOnPlan
            The limit is 0 requests: there is nothing to wait for.
        """
        now = self._clock()
        self._check_plan(now)
        if not self._line.is_empty or self._wait_seconds(tokens, now) > 0:
            return None
        return self._reserved(tokens, now)

    async def reserve(self, tokens: int, *, is_urgent: bool = False, further: int = 0) -> Reservation:
        """Wait for leave to send a request of so many tokens; `is_urgent` is for a person who waits, and goes before rows.

        How many `further` requests are ready makes no difference here.

        Raises
        ------
        ModelNotOnPlan
            The limit is 0 requests: there is nothing to wait for.
        """
        self._check_plan(self._clock())
        return await self._line.leave(tokens, is_urgent=is_urgent)

    def wait_seconds(self, tokens: int) -> float:
        """Return how long until such a request may go; infinite when that depends on those under way."""
        return self._wait_seconds(tokens, self._clock())

    async def free_slot(self) -> None:
        """Wait until nobody else waits and one more request may be under way; reserve before asking for the next slot.

        Raises
        ------
        ModelNotOnPlan
            The limit is 0 requests: there is nothing to wait for.
        """
        self._check_plan(self._clock())
        await self._line.slot()

    # What may go now.

    def _wait_seconds(self, tokens: int, now: float) -> float:
        """Return how long until such a request may go; infinite when that depends on those under way."""
        wait_seconds = self._slot_wait_seconds(now)
        if wait_seconds == math.inf:
            return wait_seconds
        expected = self._expected(tokens)
        return max(wait_seconds, self._requests.wait_seconds(1, now), self._tokens.wait_seconds(expected, now))

    def _slot_wait_seconds(self, now: float) -> float:
        return math.inf if self.in_flight >= self._concurrency.allowed else self._pause.wait_seconds(now)

    def _expected(self, tokens: int) -> int:
        """Return how many of the tokens that are asked for an answer will take, as far as past ones tell."""
        return round(tokens * self._real_tokens / self._asked_tokens) if self._asked_tokens else tokens

    def _reserved(self, tokens: int, now: float) -> Reservation:
        reservation = Reservation(self._settled, self._failed, self._end, self._unsent)
        self._last_sent += 1
        self.in_flight += 1
        reservation.number = self._last_sent
        reservation.sent_at = now
        reservation.asked_tokens = tokens
        reservation.tokens = self._expected(tokens)
        reservation.second, reservation.used_requests = self._requests.take(1, now)
        _, reservation.used_tokens = self._tokens.take(reservation.tokens, now)
        self._pause.sent(now)
        self._concurrency.sent(self.in_flight)
        return reservation

    # What a response says.

    def _settled(self, reservation: Reservation, tokens: int, rate_limits: RateLimits | None) -> None:
        now = self._clock()
        if rate_limits is not None and rate_limits.tokens_query_cost is not None:
            tokens = rate_limits.tokens_query_cost
        self._tokens.correct(tokens - reservation.tokens, reservation.second, now)
        self._asked_tokens = _MEMORY_OF_RATIO * self._asked_tokens + reservation.asked_tokens
        self._real_tokens = _MEMORY_OF_RATIO * self._real_tokens + tokens
        self._let_through(reservation, rate_limits, now)
        self._concurrency.grow(self.in_flight, is_paced=self._of_headers[0] is not None)
        self._end(reservation)

    def _failed(self, reservation: Reservation, error: MistralNotebookError) -> None:
        now = self._clock()
        if isinstance(error, ModelNotOnPlan):
            self._refuse_plan(error, now)
        elif isinstance(error, RateLimited):
            self._give_back(reservation, now)
            self._learn(reservation, error.rate_limits, now)
            is_account_limit = "capacity" not in error.problem.lower()
            seconds = now - reservation.sent_at
            self._refused(reservation, now, is_account_limit=is_account_limit, seconds=seconds)
            self._concurrency.decrease(reservation.number, last_sent=self._last_sent)
        elif isinstance(error, ServerProblem | ConnectionProblem):
            if isinstance(error, RequestTimedOut) or error.status_code in _OVERLOAD_STATUS_CODES:
                self._concurrency.decrease(reservation.number, last_sent=self._last_sent)
        elif error.status_code is not None or isinstance(error, AnswerProblem):  # the limits had let it through
            if not isinstance(error, AnswerProblem):
                self._tokens.correct(-reservation.tokens, reservation.second, now)
            self._let_through(reservation, error.rate_limits, now)
        if error.retry_after_seconds is not None:
            self._pause.hold_until(now + min(error.retry_after_seconds, _LONGEST_RETRY_AFTER_SECONDS))
        self._end(reservation)

    def _end(self, reservation: Reservation) -> None:
        self.in_flight -= 1
        self._pause.came_back(reservation.number)
        self._line.serve()

    def _unsent(self, reservation: Reservation) -> None:
        self._give_back(reservation, self._clock())
        self._end(reservation)

    def _give_back(self, reservation: Reservation, now: float) -> None:
        self._requests.correct(-1, reservation.second, now)
        self._tokens.correct(-reservation.tokens, reservation.second, now)

    def _let_through(self, reservation: Reservation, rate_limits: RateLimits | None, now: float) -> None:
        if self._pause.is_on and not self._pause.is_before(reservation.number):
            refused_seconds = self._pause.end()
            if self._of_headers[0] is None:
                self._guess.refusal_over(refused_seconds, now)
        if self._guess.per_minute is not None:
            self._guess.answered(now)
            self._set_limits(now)
        self._learn(reservation, rate_limits, now)

    def _learn(self, reservation: Reservation, rate_limits: RateLimits | None, now: float) -> None:
        """Take the limits from the headers, and notice what others have used of them."""
        self._has_seen_response = True
        if rate_limits is None:
            return
        if rate_limits.requests_per_minute == 0:
            self._refuse_plan(self._plan_error(), now)
            return
        known = self._of_headers
        told = (rate_limits.requests_per_minute or known[0], rate_limits.tokens_per_minute or known[1])
        if told != known:
            self._of_headers = told
            if known == (None, None):
                self._concurrency.open()
            self._set_limits(now)
        is_used_up = self._requests.notice(
            rate_limits.remaining_requests, of=rate_limits.requests_per_minute, ours=reservation.used_requests, now=now
        )
        is_used_up |= self._tokens.notice(
            rate_limits.remaining_tokens, of=rate_limits.tokens_per_minute, ours=reservation.used_tokens, now=now
        )
        if is_used_up:
            self._refused(reservation, now, is_account_limit=False, seconds=0.0)

    def _set_limits(self, now: float) -> None:
        learnt_requests, learnt_tokens = self._of_headers
        requests_by_hand, tokens_by_hand = self._by_hand
        if learnt_requests is not None:
            self._guess.forget()
        if self._guess.per_minute is None:
            self._requests.set_limit(_lowest(requests_by_hand, learnt_requests), now)
        else:  # which may come from a limit per second
            self._requests.set_limit(_lowest(requests_by_hand, self._guess.per_minute), now, burst_seconds=0)
        self._tokens.set_limit(_lowest(tokens_by_hand, learnt_tokens), now)

    def _refused(self, reservation: Reservation, now: float, *, is_account_limit: bool, seconds: float) -> None:
        """Pause for everybody; what was sent before a pause began belongs to the same refusal."""
        if self._pause.is_before(reservation.number):
            if is_account_limit and self._pause.is_on:
                self._guess.refused_too()
            return
        if not self._pause.is_on:
            if is_account_limit:
                self._guess.refused(self._requests.log, now)
            else:
                self._guess.forget_refusal()
        self._pause.begin(now, last_sent=self._last_sent, refusal_seconds=seconds)

    # The model that is not on the plan.

    def _check_plan(self, now: float) -> None:
        if self._not_on_plan is None:
            return
        if now < self._not_on_plan_until:
            raise _copy(self._not_on_plan)
        # It may have been put on the plan since: one request finds out.
        self._not_on_plan = None
        self._pause.let_one_try(last_sent=self._last_sent)

    def _plan_error(self) -> ModelNotOnPlan:
        error = error_from_response(429, b"", {"x-ratelimit-limit-req-minute": "0"}, model=self._model)
        assert isinstance(error, ModelNotOnPlan)
        return error

    def _refuse_plan(self, error: ModelNotOnPlan, now: float) -> None:
        self._not_on_plan = error
        self._not_on_plan_until = now + WINDOW_SECONDS
        self._line.turn_away(lambda: _copy(error))


def _check_positive(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise InvalidOption(f"{name} is {value}.", f"Give 1 or more, e.g. {name}=50.")


def _lowest(*limits: float | None) -> float | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _whole(limit: float | None) -> int | None:
    return None if limit is None else max(1, round(limit))


def _copy(error: ModelNotOnPlan) -> ModelNotOnPlan:
    """Return the same error without the traceback that it collects where it is raised."""
    return ModelNotOnPlan(
        error.problem,
        error.remedy,
        status_code=error.status_code,
        correlation_id=error.correlation_id,
        rate_limits=error.rate_limits,
    )
