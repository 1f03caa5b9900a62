"""What the workers of a cluster share: limits, money, and who is asking what.

Keeps to itself: the limiters and budgets themselves, which are the engine's own, and what each worker holds of them.
Promises: leave is given several requests at a time, and each one counts from when it is given; what a worker held when it was lost
is free again, but for money, of which nobody knows what became of it. No key and no text comes here. Used on one event loop.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mistral_nb.dask.wire import LimiterState, error_from, rate_limits_from, told_error
from mistral_nb.engine.budget import Budget
from mistral_nb.engine.limiter import Limiter, Reservation
from mistral_nb.errors import ModelNotOnPlan

# A limit of so many a second is given out in portions of what comes in this time; the limiter's own margin is longer.
GATHER_SECONDS = 0.5
# The first claim gets what it needs; so that not every request asks, so many times that where there is as much.
MOST_GRANTED = 64


@dataclass(slots=True)
class _Leave:
    """The limiter of one model, who gathers, and whose reservations are open."""

    limiter: Limiter
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    open: dict[int, tuple[str, Reservation]] = field(default_factory=dict)
    waiting: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def state(self) -> LimiterState:
        """Return what a worker has to know: the limits, and its part of what may go at once."""
        limiter = self.limiter
        users = {worker for worker, _ in self.open.values()} | {
            worker for worker, count in self.waiting.items() if count
        }
        return LimiterState(
            is_known=limiter.is_known,
            burst_requests=max(1, limiter.burst_requests // max(1, len(users))),
            requests_per_minute=limiter.requests_per_minute,
            tokens_per_minute=limiter.tokens_per_minute,
        )


@dataclass(slots=True)
class _News:
    """What a worker has not heard yet of questions that others ask."""

    is_there: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[bytes] = field(default_factory=list)
    inherited: list[bytes] = field(default_factory=list)


class Coordinator:
    """The one place that all workers of a cluster ask.

    Parameters
    ----------
    clock, sleep
        Time in seconds, and how to wait for it.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lost: set[str] = set()
        self._leaves: dict[tuple[Any, ...], _Leave] = {}
        self._number = 0
        self._budgets: dict[str, Budget] = {}
        self._lent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        # By scope and key: the worker that asks, and those that wait, in order.
        self._questions: dict[tuple[str, bytes], list[str]] = {}
        self._news: dict[str, _News] = defaultdict(_News)

    # Leave to send.

    async def leave(
        self, worker: str, *, limits: Mapping[str, Any], count: int, tokens: int, is_urgent: bool
    ) -> dict[str, Any]:
        """Return numbers of reservations, at least one, for requests of so many tokens each."""
        leave = self._leave(limits)
        leave.waiting[worker] += 1
        given: list[Reservation] = []
        try:
            async with leave.turn:
                await self._gather(
                    leave, given, worker, count=min(count, MOST_GRANTED), tokens=tokens, urgent=is_urgent
                )
        except ModelNotOnPlan as error:
            for reservation in given:
                reservation.unsent()
            return {"error": told_error(error)}
        finally:
            leave.waiting[worker] -= 1
        if worker in self._lost:
            for reservation in given:
                reservation.unsent()
            return {"granted": [], "state": [*leave.state()]}
        numbers = []
        for reservation in given:
            self._number += 1
            leave.open[self._number] = (worker, reservation)
            numbers.append(self._number)
        return {"granted": numbers, "state": [*leave.state()]}

    async def _gather(
        self, leave: _Leave, given: list[Reservation], worker: str, *, count: int, tokens: int, urgent: bool
    ) -> None:
        """Take what may go now, and what may go soon; what depends on answers that are under way is not waited for."""
        limiter = leave.limiter
        given.append(await limiter.reserve(tokens, is_urgent=urgent))
        until = self._clock() + GATHER_SECONDS
        while len(given) < count and worker not in self._lost:
            further = limiter.try_reserve(tokens)
            if further is not None:
                given.append(further)
                continue
            wait_seconds = limiter.wait_seconds(tokens)
            if self._clock() + wait_seconds > until:
                return
            await self._sleep(max(wait_seconds, 0.001))

    def _leave(self, limits: Mapping[str, Any]) -> _Leave:
        key = tuple(sorted(limits.items()))
        if key not in self._leaves:
            by_limiter = {name: value for name, value in limits.items() if name != "account"}
            self._leaves[key] = _Leave(Limiter(clock=self._clock, sleep=self._sleep, **by_limiter))
        return self._leaves[key]

    def end(self, worker: str, *, limits: Mapping[str, Any], ended: Sequence[Sequence[Any]]) -> dict[str, Any]:
        """Take note of how requests ended: number, how, and what the answer said."""
        leave = self._leave(limits)
        for number, how, *told in ended:
            _, reservation = leave.open.pop(number, (worker, None))
            if reservation is None:  # of a worker that was taken for lost
                continue
            if how == "settled":
                reservation.settle(tokens=told[0], rate_limits=rate_limits_from(told[1]))
            elif how == "failed":
                reservation.failed(error_from(told[0]))
            elif how == "released":
                reservation.release()
            else:
                reservation.unsent()
        return {"state": [*leave.state()]}

    # Money.

    def lend(self, worker: str, *, budget: str, limit_usd: str, least_usd: str, most_usd: str) -> dict[str, Any]:
        """Hold money for a worker, between the least it needs and the most it would like; nothing where there is too little."""
        found = self._budgets.setdefault(budget, Budget(Decimal(limit_usd)))
        assert found.limit_usd is not None
        lent, others = self._lent, found.held_usd - self._lent[budget, worker]
        amount = min(Decimal(most_usd), found.limit_usd - found.spent_usd - found.held_usd)
        if amount < Decimal(least_usd):
            return {"lent_usd": None, "spent_usd": str(found.spent_usd), "others_hold": others > 0}
        found.hold(amount)
        lent[budget, worker] += amount
        return {"lent_usd": str(amount), "spent_usd": str(found.spent_usd), "others_hold": others > 0}

    def pay_back(self, worker: str, *, budget: str, lent_usd: str, spent_usd: str) -> dict[str, Any]:
        """Take note that so much of what was lent is not held any more, and what was spent of it."""
        found = self._budgets.get(budget)
        if found is not None:
            found.settle(Decimal(lent_usd), Decimal(spent_usd))
            self._lent[budget, worker] -= Decimal(lent_usd)
        return {}

    # Questions under way.

    def announce(self, worker: str, *, scope: str, keys: Sequence[bytes]) -> dict[str, Any]:
        """Make the worker the owner of these questions; return those that another asks, whose end it will hear of."""
        foreign = []
        for key in keys:
            line = self._questions.setdefault((scope, key), [worker])
            if line[0] != worker:
                foreign.append(key)
                if worker not in line:
                    line.append(worker)
        return {"foreign": foreign}

    def finish(
        self, worker: str, *, scope: str, answered: Sequence[bytes], given_up: Sequence[bytes]
    ) -> dict[str, Any]:
        """Tell those who wait that questions are answered; leave what was given up to the first of them."""
        for key in answered:
            line = self._questions.get((scope, key), [""])
            if line[0] == worker:
                del self._questions[scope, key]
                for waiting in line[1:]:
                    self._tell(waiting, ended=key)
        for key in given_up:
            self._give_up(worker, (scope, key))
        return {}

    async def news(self, worker: str) -> dict[str, Any]:
        """Wait until there is something to tell of questions that others asked; return what ended, and what is the worker's now."""
        news = self._news[worker]
        if worker not in self._lost:
            await news.is_there.wait()
        told: dict[str, Any] = {"ended": news.ended, "inherited": news.inherited}
        self._news.pop(worker, None)
        return told

    def _give_up(self, worker: str, question: tuple[str, bytes]) -> None:
        line = self._questions.get(question, [])
        if worker not in line:
            return
        was_owner = line[0] == worker
        line.remove(worker)
        if not line:
            del self._questions[question]
        elif was_owner:
            self._tell(line[0], inherited=question[1])

    def _tell(self, worker: str, *, ended: bytes | None = None, inherited: bytes | None = None) -> None:
        news = self._news[worker]
        if ended is not None:
            news.ended.append(ended)
        if inherited is not None:
            news.inherited.append(inherited)
        news.is_there.set()

    # The end of a worker.

    def forget(self, worker: str) -> None:
        """Free what a worker held: it is lost. What it held of budgets counts as spent."""
        self._lost.add(worker)
        for leave in self._leaves.values():
            for number in [number for number, (holder, _) in leave.open.items() if holder == worker]:
                leave.open.pop(number)[1].release()
        for (budget, holder), lent in list(self._lent.items()):
            if holder == worker:
                self._budgets[budget].settle(lent, None)
                del self._lent[budget, holder]
        for question in [question for question, line in self._questions.items() if worker in line]:
            self._give_up(worker, question)
        if worker in self._news:
            self._news[worker].is_there.set()
