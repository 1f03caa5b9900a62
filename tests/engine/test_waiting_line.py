import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mistral_nb.engine.limiter import Limiter, Reservation
from tests.engine.limited_server import new_limiter
from tests.engine.virtual_time import now, run_in_virtual_time


async def _several(limiter: Limiter, count: int) -> list[Reservation]:
    return [await limiter.reserve(1) for _ in range(count)]


def _waiters_left(limiter: Limiter) -> int:
    line = limiter._line
    return len(line._urgent) + len(line._rows) + len(line._slots) + (line._alarm is not None)


async def _let_others_run() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_waiters_are_served_in_the_order_they_came() -> None:
    async def run() -> list[int]:
        limiter, order = new_limiter(requests_per_minute=60), []

        async def wait(number: int) -> None:
            reservation = await limiter.reserve(1)
            order.append(number)
            reservation.settle(tokens=1, rate_limits=None)

        async with asyncio.TaskGroup() as group:
            for number in range(50):
                group.create_task(wait(number))
        return order

    assert run_in_virtual_time(run) == list(range(50))


def test_a_person_who_waits_goes_before_rows() -> None:
    async def run() -> list[str]:
        limiter, order = new_limiter(max_concurrency=1), []
        first = await limiter.reserve(1)

        async def wait(name: str, *, is_urgent: bool) -> None:
            reservation = await limiter.reserve(1, is_urgent=is_urgent)
            order.append(name)
            reservation.settle(tokens=1, rate_limits=None)

        async with asyncio.TaskGroup() as group:
            group.create_task(wait("row", is_urgent=False))
            await _let_others_run()
            group.create_task(wait("person", is_urgent=True))
            await _let_others_run()
            first.settle(tokens=1, rate_limits=None)
        return order

    assert run_in_virtual_time(run) == ["person", "row"]


def test_nobody_slips_past_those_who_wait() -> None:
    async def run() -> Reservation | None:
        limiter = new_limiter(tokens_per_minute=1200)
        (await limiter.reserve(60)).settle(tokens=60, rate_limits=None)
        waiting = asyncio.create_task(limiter.reserve(100))
        await _let_others_run()
        slipped = limiter.try_reserve(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return slipped

    assert run_in_virtual_time(run) is None


def test_a_cancelled_waiter_leaves_no_trace() -> None:
    async def run() -> tuple[int, int]:
        limiter = new_limiter(max_concurrency=1, requests_per_minute=1)
        await limiter.reserve(1)
        waiting = [asyncio.create_task(limiter.reserve(1, is_urgent=bool(number % 2))) for number in range(6)]
        waiting += [asyncio.create_task(limiter.free_slot())]
        await _let_others_run()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return limiter.in_flight, _waiters_left(limiter)

    assert run_in_virtual_time(run) == (1, 0)


def test_one_who_is_cancelled_just_when_served_gives_everything_back() -> None:
    async def run() -> tuple[int, int, bool]:
        limiter = new_limiter(max_concurrency=1, requests_per_minute=600)
        first = await limiter.reserve(1)
        waiting = asyncio.create_task(limiter.reserve(1))
        await _let_others_run()
        first.settle(tokens=1, rate_limits=None)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        counted = limiter._requests.log.total(now())
        return limiter.in_flight, counted, limiter.try_reserve(1) is not None

    assert run_in_virtual_time(run) == (0, 1, True)


def test_the_next_is_served_when_the_first_is_cancelled() -> None:
    async def run() -> bool:
        limiter = new_limiter(tokens_per_minute=6000)
        (await limiter.reserve(450)).settle(tokens=450, rate_limits=None)
        first = asyncio.create_task(limiter.reserve(500))
        second = asyncio.create_task(limiter.reserve(10))
        await _let_others_run()
        first.cancel()
        await _let_others_run()
        return second.done()

    assert run_in_virtual_time(run)


def test_a_slot_is_offered_when_one_more_may_be_under_way() -> None:
    async def run() -> tuple[bool, bool]:
        limiter = new_limiter(max_concurrency=2)
        first, _ = await _several(limiter, 2)
        slot = asyncio.create_task(limiter.free_slot())
        await _let_others_run()
        was_done = slot.done()
        first.settle(tokens=1, rate_limits=None)
        await _let_others_run()
        return was_done, slot.done()

    assert run_in_virtual_time(run) == (False, True)


def test_no_slot_is_offered_while_others_wait() -> None:
    async def run() -> bool:
        limiter = new_limiter(requests_per_minute=1)
        await limiter.reserve(1)
        waiting = asyncio.create_task(limiter.reserve(1))
        await _let_others_run()
        slot = asyncio.create_task(limiter.free_slot())
        await asyncio.sleep(30)
        is_offered = slot.done()
        waiting.cancel()
        await asyncio.gather(slot, waiting, return_exceptions=True)
        return is_offered

    assert not run_in_virtual_time(run)


@pytest.mark.parametrize("ending", ["settle", "release"])
def test_a_reservation_ends_only_once(ending: str) -> None:
    async def run() -> int:
        limiter = new_limiter()
        first, _ = await _several(limiter, 2)
        for _ in range(3):
            first.settle(tokens=1, rate_limits=None) if ending == "settle" else first.release()
        first.release()
        return limiter.in_flight

    assert run_in_virtual_time(run) == 1


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.booleans(), st.booleans()), max_size=40),
    max_concurrency=st.integers(1, 5),
)
def test_whatever_is_cancelled_nothing_is_leaked(
    steps: list[tuple[float, float, bool, bool]], max_concurrency: int
) -> None:
    async def run() -> tuple[int, int, int]:
        limiter, most = new_limiter(max_concurrency=max_concurrency, requests_per_minute=100), 0

        async def work(seconds: float, is_urgent: bool) -> None:
            nonlocal most
            reservation = await limiter.reserve(1, is_urgent=is_urgent)
            most = max(most, limiter.in_flight)
            try:
                await asyncio.sleep(seconds)
                reservation.settle(tokens=1, rate_limits=None)
            finally:
                reservation.release()

        tasks = []
        for gap, seconds, is_urgent, is_cancelled in steps:
            tasks.append(asyncio.create_task(work(seconds, is_urgent)))
            await asyncio.sleep(gap)
            if is_cancelled:
                tasks[len(tasks) // 2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return limiter.in_flight, _waiters_left(limiter), most

    in_flight, left, most = run_in_virtual_time(run)
    assert (in_flight, left) == (0, 0)
    assert most <= max_concurrency
