"""Workers that share limits, money and questions through a coordinator, in virtual time."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from mistral_nb.dask.coordinator import Coordinator
from mistral_nb.dask.line import Line
from mistral_nb.dask.shared_budget import SharedBudget
from mistral_nb.dask.shared_limits import SharedLimits
from mistral_nb.dask.shared_questions import SharedInFlight
from mistral_nb.errors import CannotConnect, MistralNotebookError, ModelNotOnPlan, RateLimited
from tests.engine.limited_server import CalendarMinute, LimitedServer, SlidingMinute
from tests.engine.virtual_time import now, run_in_virtual_time

ROUND_TRIP_SECONDS = 0.004
LIMITS = {
    "model": "small",
    "max_concurrency": 64,
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "account": "a",
}


class Cluster:
    """A coordinator, and lines to it that take their time and count."""

    def __init__(self) -> None:
        self.coordinator = Coordinator(clock=now)
        self.calls: list[str] = []
        self.is_cut = False

    def line(self, worker: str) -> Line:
        async def call(what: str, arguments: dict[str, Any]) -> dict[str, Any]:
            self.calls.append(what)
            await asyncio.sleep(ROUND_TRIP_SECONDS)
            if self.is_cut:
                raise ConnectionError
            given = getattr(self.coordinator, what)(worker, **arguments)
            answer: dict[str, Any] = await given if inspect.isawaitable(given) else given
            return answer

        return Line(call)


class Worker:
    """Sends requests as a run of rows does: one after the other asks for leave, and none waits for an answer."""

    def __init__(self, cluster: Cluster, name: str, server: LimitedServer) -> None:
        self.limits = SharedLimits(cluster.line(name), LIMITS)
        self._server = server

    async def run(self, requests: int, *, tokens: int = 20) -> None:
        async with asyncio.TaskGroup() as group:
            left = requests
            while left > 0:
                left -= 1
                reservation = self.limits.try_reserve(tokens) or await self.limits.reserve(tokens, further=left)
                group.create_task(self._send(reservation, tokens))

    async def _send(self, reservation: Any, tokens: int) -> None:
        try:
            said = await self._server.answer(tokens // 2, tokens)
        except RateLimited as error:
            reservation.failed(error)
        else:
            reservation.settle(tokens=tokens, rate_limits=said)


def measured(make_server: Callable[[], LimitedServer], *, workers: int, requests: int) -> tuple[LimitedServer, Cluster]:
    """Return what workers that send so many requests each made of a server."""

    async def main() -> tuple[LimitedServer, Cluster]:
        server, cluster = make_server(), Cluster()
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(Worker(cluster, f"worker {number}", server).run(requests))
        return server, cluster

    return run_in_virtual_time(main)


@pytest.mark.parametrize("rule", [CalendarMinute, SlidingMinute])
def test_four_workers_use_95_percent_of_a_limit_with_1_percent_refused(rule: Any) -> None:
    server, _ = measured(lambda: LimitedServer(rule(600)), workers=4, requests=900)

    start = server.admitted_at[0]
    second_to_fifth_minute = server.admitted_between(start + 60, start + 300)
    assert second_to_fifth_minute >= 0.95 * 4 * 600
    assert server.share_rejected <= 0.01
    assert server.most_in_a_minute() <= 600 or rule is CalendarMinute


def test_leave_comes_for_several_requests_at_a_time() -> None:
    server, cluster = measured(lambda: LimitedServer(CalendarMinute(600)), workers=4, requests=300)

    assert len(server.admitted_at) == 1200
    assert cluster.calls.count("leave") < 1200 / 3
    assert len(cluster.calls) < 1200 * 1.5


def test_no_more_requests_are_under_way_than_for_one_kernel() -> None:
    server, _ = measured(lambda: LimitedServer(CalendarMinute(100_000)), workers=4, requests=500)

    assert 40 <= server.most_in_flight <= 64


def test_one_worker_alone_is_given_all_of_the_limit() -> None:
    server, _ = measured(lambda: LimitedServer(CalendarMinute(600)), workers=1, requests=1800)

    start = server.admitted_at[0]
    assert server.admitted_between(start + 60, start + 120) >= 0.95 * 600


def in_a_cluster(main: Callable[[Cluster], Awaitable[None]]) -> None:
    async def run() -> None:
        await main(Cluster())

    run_in_virtual_time(run)


def test_leave_that_nobody_uses_is_given_back() -> None:
    async def main(cluster: Cluster) -> None:
        limits = SharedLimits(cluster.line("one"), {**LIMITS, "requests_per_minute": 60, "max_concurrency": 4})
        used = await limits.reserve(20, further=3)
        await asyncio.sleep(1)
        leave = next(iter(cluster.coordinator._leaves.values()))

        assert leave.limiter.in_flight == 1
        used.settle(tokens=20, rate_limits=None)

    in_a_cluster(main)


def test_who_is_cancelled_leaves_no_trace() -> None:
    async def main(cluster: Cluster) -> None:
        limits = SharedLimits(cluster.line("one"), LIMITS)
        waiting = [asyncio.create_task(limits.reserve(20)) for _ in range(3)]
        await asyncio.sleep(0)
        for task in waiting[:2]:
            task.cancel()
        reservation = await waiting[2]
        reservation.settle(tokens=20, rate_limits=None)
        await asyncio.sleep(1)

        assert next(iter(cluster.coordinator._leaves.values())).limiter.in_flight == 0

    in_a_cluster(main)


def test_what_a_lost_worker_held_is_free_again() -> None:
    async def main(cluster: Cluster) -> None:
        one, two = (SharedLimits(cluster.line(name), {**LIMITS, "max_concurrency": 1}) for name in ("one", "two"))
        await one.reserve(20)
        waiting = asyncio.create_task(two.reserve(20))
        await asyncio.sleep(1)
        was_waiting = not waiting.done()
        cluster.coordinator.forget("one")
        await asyncio.wait_for(waiting, 1)

        assert was_waiting

    in_a_cluster(main)


def test_a_model_that_is_not_on_the_plan_is_said_to_all_workers() -> None:
    async def main(cluster: Cluster) -> None:
        one, two = (SharedLimits(cluster.line(name), LIMITS) for name in ("one", "two"))
        (await one.reserve(20)).failed(ModelNotOnPlan("Not on the plan.", "Choose another."))
        await asyncio.sleep(1)

        with pytest.raises(ModelNotOnPlan, match=r"Not on the plan\.\nChoose another\."):
            await two.reserve(20)

    in_a_cluster(main)


def test_a_scheduler_that_is_gone_is_an_error_of_ours() -> None:
    async def main(cluster: Cluster) -> None:
        limits = SharedLimits(cluster.line("one"), LIMITS)
        cluster.is_cut = True

        with pytest.raises(CannotConnect, match="holds the cluster's limits"):
            await limits.reserve(20)

    in_a_cluster(main)


# Money.


async def spend(budget: SharedBudget, *, requests: int, most: Decimal, cost: Decimal) -> int:
    """Return how many of the requests fit."""
    sent = 0
    for _ in range(requests):
        while not budget.hold(most):
            if not budget.may_have_more:
                return sent
            await asyncio.sleep(0.1)
        sent += 1
        await asyncio.sleep(0.05)
        budget.settle(most, cost)
    return sent


def test_workers_spend_all_of_a_budget_together_and_never_more() -> None:
    async def main(cluster: Cluster) -> None:
        shares = [
            SharedBudget(cluster.line(str(number)), "call", Decimal("1.00"), title="The budget", remedy="")
            for number in range(4)
        ]
        sent = await asyncio.gather(
            *(spend(share, requests=100, most=Decimal("0.05"), cost=Decimal("0.01")) for share in shares)
        )
        await asyncio.sleep(2)
        held = cluster.coordinator._budgets["call"]

        assert 95 < sum(sent) <= 100
        assert held.spent_usd == Decimal("0.01") * sum(sent)
        assert held.held_usd == 0

    in_a_cluster(main)


def test_what_a_lost_worker_had_borrowed_counts_as_spent() -> None:
    async def main(cluster: Cluster) -> None:
        budget = SharedBudget(cluster.line("one"), "call", Decimal(1), title="The budget", remedy="")
        budget.hold(Decimal("0.5"))
        await asyncio.sleep(0.1)
        assert budget.hold(Decimal("0.5"))
        cluster.coordinator.forget("one")
        other = SharedBudget(cluster.line("two"), "call", Decimal(1), title="The budget", remedy="")

        assert await spend(other, requests=1, most=Decimal("0.1"), cost=Decimal("0.1")) == 0

    in_a_cluster(main)


def test_workers_do_not_wait_for_what_the_other_keeps() -> None:
    async def main(cluster: Cluster) -> None:
        one, two = (
            SharedBudget(cluster.line(name), "call", Decimal("0.2"), title="The budget", remedy="")
            for name in ("one", "two")
        )
        small, large = Decimal("0.0125"), Decimal("0.3")
        for share in (one, two):
            share.hold(small)  # for which eight times as much is lent
            await asyncio.sleep(0.1)
            assert share.hold(small)
        await asyncio.sleep(2)  # a loan is in use when it is looked at
        for share in (one, two):
            share.hold(large)
            share.settle(small, Decimal(0))  # while more is asked for

        async with asyncio.timeout(60):
            sent = await asyncio.gather(*(spend(share, requests=1, most=large, cost=large) for share in (one, two)))
        assert sent == [0, 0]

    in_a_cluster(main)


def test_a_reached_budget_says_what_all_have_spent() -> None:
    async def main(cluster: Cluster) -> None:
        one, two = (
            SharedBudget(cluster.line(name), "call", Decimal(1), title="The budget", remedy="")
            for name in ("one", "two")
        )
        await spend(one, requests=10, most=Decimal("0.1"), cost=Decimal("0.1"))
        await spend(two, requests=1, most=Decimal("0.1"), cost=Decimal("0.1"))

        assert "$1.000000 is spent" in str(two.reached(Decimal("0.1")))

    in_a_cluster(main)


# Questions.


def test_a_question_that_another_worker_asks_is_looked_at_again_when_it_is_answered() -> None:
    async def main(cluster: Cluster) -> None:
        one, two = (SharedInFlight(cluster.line(name), "file") for name in ("one", "two"))
        await one.announce([b"a", b"b"])
        await two.announce([b"b", b"c"])
        looked: list[Any] = []
        claims = [one.claim(b"b"), two.claim(b"b"), two.claim(b"c")]
        two.join(b"b", looked.append)
        one.finish(b"b", "an answer")
        await asyncio.sleep(1)

        assert claims == [True, False, True]
        assert looked == [None]

    in_a_cluster(main)


@pytest.mark.parametrize("end", ["gives up", "ends early", "is lost"])
def test_a_question_whose_owner_leaves_is_left_to_the_first_who_waits(end: str) -> None:
    async def main(cluster: Cluster) -> None:
        one, two, three = (SharedInFlight(cluster.line(name), "file") for name in ("one", "two", "three"))
        looked: list[str] = []
        for name, worker in {"one": one, "two": two, "three": three}.items():
            await worker.announce([b"a"])
            if worker is not one:
                worker.join(b"a", lambda answer, name=name: looked.append(name))
        if end == "is lost":
            cluster.coordinator.forget("one")
        elif end == "ends early":
            one.withdraw([b"a"])
        else:
            one.claim(b"a")
            one.finish(b"a", None)
        await asyncio.sleep(1)

        assert looked == ["two"]
        assert two.claim(b"a")
        assert not three.claim(b"a")

    in_a_cluster(main)


def test_who_waits_no_longer_is_left_nothing() -> None:
    async def main(cluster: Cluster) -> None:
        one, two, three = (SharedInFlight(cluster.line(name), "file") for name in ("one", "two", "three"))
        for worker in (one, two, three):
            await worker.announce([b"a"])
        two.withdraw([b"a"])
        one.withdraw([b"a"])
        await asyncio.sleep(1)

        assert three.claim(b"a")

    in_a_cluster(main)


def test_workers_with_other_files_ask_for_themselves() -> None:
    async def main(cluster: Cluster) -> None:
        one, two = (SharedInFlight(cluster.line(name), f"file of {name}") for name in ("one", "two"))
        await one.announce([b"a"])
        await two.announce([b"a"])

        assert one.claim(b"a")
        assert two.claim(b"a")

    in_a_cluster(main)


def test_an_error_that_travels_quotes_no_row() -> None:
    from mistral_nb.dask.wire import error_from, told_error
    from mistral_nb.errors import RequestRejected

    told = told_error(RequestRejected("The text 'my secret' is too long.", status_code=422))
    error: MistralNotebookError = error_from(told)

    assert "secret" not in repr(told)
    assert (type(error), error.status_code) == (RequestRejected, 422)
