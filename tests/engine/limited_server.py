"""Servers that limit, in virtual time, and rows that are sent to them through a limiter.

Keeps to itself: how each kind of server counts. Promises: the same run gives the same figures every time.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from mistral_nb.engine.limiter import Limiter
from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.errors import MistralNotebookError, RateLimited
from mistral_nb.rate_limits import RateLimits
from tests.engine.virtual_time import now
from tests.fake_api.limits import Limit, MinuteCounter


class Rule(Protocol):
    """How a server counts."""

    def admit(self, prompt_tokens: int) -> bool: ...

    def charge(self, tokens: int) -> None: ...

    def rate_limits(self) -> RateLimits | None: ...


class CalendarMinute:
    """Counts as recorded: requests by the full minute, tokens sliding; `offset` is how far into a minute it is at the start."""

    def __init__(self, requests: int, tokens: int | None = None, *, offset: float = 0.0) -> None:
        self._limit = Limit(requests_per_minute=requests, tokens_per_minute=tokens)
        started = now() - offset
        self._counter = MinuteCounter(self._limit, lambda: started)
        self._counter._clock = now
        self._admission = self._counter.admit(0) if requests == 0 else None
        self.rejections = 0

    def admit(self, prompt_tokens: int) -> bool:
        self._admission = self._counter.admit(prompt_tokens)
        return self._admission.is_admitted

    def charge(self, tokens: int) -> None:
        self._counter.charge(tokens)

    def rate_limits(self) -> RateLimits | None:
        assert self._admission is not None
        return RateLimits.from_headers(self._counter.headers(self._admission))


class SlidingMinute:
    """Counts exactly the last 60 seconds, of requests and of tokens."""

    def __init__(self, requests: int, tokens: int | None = None) -> None:
        self._requests = requests
        self._tokens = tokens
        self._sent: deque[float] = deque()
        self._used: deque[tuple[float, int]] = deque()

    def admit(self, prompt_tokens: int) -> bool:
        self._turn()
        is_full = len(self._sent) >= self._requests
        if is_full or (self._tokens is not None and self._used_tokens() + prompt_tokens > self._tokens):
            return False
        self._sent.append(now())
        return True

    def charge(self, tokens: int) -> None:
        self._used.append((now(), tokens))

    def rate_limits(self) -> RateLimits | None:
        self._turn()
        return RateLimits(
            requests_per_minute=self._requests,
            remaining_requests=self._requests - len(self._sent),
            tokens_per_minute=self._tokens,
            remaining_tokens=None if self._tokens is None else max(0, self._tokens - self._used_tokens()),
        )

    def _turn(self) -> None:
        while self._sent and self._sent[0] <= now() - 60:
            self._sent.popleft()
        while self._used and self._used[0][0] <= now() - 60:
            self._used.popleft()

    def _used_tokens(self) -> int:
        return sum(tokens for _, tokens in self._used)


class Bucket:
    """Lets so many requests a second through, and a few more after a rest."""

    def __init__(self, per_second: float, *, capacity: int) -> None:
        self._per_second = per_second
        self._capacity = capacity
        self._level = float(capacity)
        self._filled_at = now()

    def admit(self, prompt_tokens: int) -> bool:
        self._level = min(self._capacity, self._level + (now() - self._filled_at) * self._per_second)
        self._filled_at = now()
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def charge(self, tokens: int) -> None: ...

    def rate_limits(self) -> RateLimits | None:
        return None


@dataclass
class LimitedServer:
    """Answers after `latency` seconds, of which the first `way` are the request's way to it."""

    rule: Rule
    latency: Callable[[], float] = lambda: 0.3
    way: Callable[[], float] = lambda: 0.02
    has_headers: bool = True
    out_of_service: Callable[[float], bool] = lambda at: False
    admitted_at: list[float] = field(default_factory=list)
    rejected_at: list[float] = field(default_factory=list)
    tokens_charged: list[tuple[float, int]] = field(default_factory=list)
    most_in_flight: int = 0
    _in_flight: int = 0

    async def answer(self, prompt_tokens: int, tokens: int) -> RateLimits | None:
        """Return the headers of an answer that took so many tokens; raise RateLimited when it is one too many."""
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            await asyncio.sleep(self.way())
            if self.out_of_service(now()) or not self.rule.admit(prompt_tokens):
                self.rejected_at.append(now())
                raise RateLimited("The account's rate limit is reached.", status_code=429, rate_limits=self._said())
            self.admitted_at.append(now())
            said = self._said()
            await asyncio.sleep(self.latency())
            self.rule.charge(tokens)
            self.tokens_charged.append((now(), tokens))
            after = self._said()
            # As in the recordings: requests as they were when this one was let in, tokens with those of this answer.
            return replace(said, remaining_tokens=after.remaining_tokens) if said and after else None
        finally:
            self._in_flight -= 1

    def _said(self) -> RateLimits | None:
        return self.rule.rate_limits() if self.has_headers else None

    @property
    def share_rejected(self) -> float:
        return len(self.rejected_at) / max(1, len(self.rejected_at) + len(self.admitted_at))

    def admitted_between(self, start: float, end: float) -> int:
        return sum(start <= at < end for at in self.admitted_at)

    def most_in_a_minute(self) -> int:
        """Return the most requests it let pass in any 60 seconds."""
        window: deque[float] = deque()
        most = 0
        for at in self.admitted_at:
            window.append(at)
            while window[0] <= at - 60:
                window.popleft()
            most = max(most, len(window))
        return most


@dataclass(frozen=True)
class Row:
    reserved: int
    prompt_tokens: int = 10
    tokens: int = 20


@dataclass
class RowsRun:
    answered_at: list[float] = field(default_factory=list)
    errors: list[MistralNotebookError] = field(default_factory=list)


async def send_row(limiter: Limiter, server: LimitedServer, row: Row, *, is_urgent: bool = False) -> None:
    """Send one row the way the session does."""
    reservation = await limiter.reserve(row.reserved, is_urgent=is_urgent)
    try:
        said = await server.answer(row.prompt_tokens, row.tokens)
    except MistralNotebookError as error:
        reservation.failed(error)
        raise
    else:
        reservation.settle(tokens=row.tokens, rate_limits=said)
    finally:
        reservation.release()


async def send_rows(limiter: Limiter, server: LimitedServer, rows: Sequence[Row]) -> RowsRun:
    """Send all rows the way a run of rows does: a row is taken up only when there is a slot for it."""
    run = RowsRun()
    retry = RetryPolicy(clock=now, max_seconds=3600)

    async def send(row: Row) -> None:
        try:
            await retry.attempt(lambda: send_row(limiter, server, row))
            run.answered_at.append(now())
        except MistralNotebookError as error:
            run.errors.append(error)

    async with asyncio.TaskGroup() as group:
        for row in rows:
            await limiter.free_slot()
            group.create_task(send(row))
            await asyncio.sleep(0)
    return run


def new_limiter(*, seed: int = 0, **options: int) -> Limiter:
    """Return a limiter in the running loop's time, whose jitter is always the same."""
    return Limiter(clock=now, jitter=random.Random(seed).random, **options)
