"""Whole runs against servers that limit, in virtual time."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mistral_nb.engine.limiter import Limiter
from tests.engine.limited_server import (
    Bucket,
    CalendarMinute,
    LimitedServer,
    Row,
    RowsRun,
    Rule,
    SlidingMinute,
    new_limiter,
    send_row,
    send_rows,
)
from tests.engine.virtual_time import now, run_in_virtual_time

# A failing run is not made smaller: that would take minutes.
long_runs = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],
)


@dataclass(frozen=True)
class Outcome:
    run: RowsRun
    server: LimitedServer
    limiter: Limiter
    started_at: float
    seconds: float

    def per_minute(self, *, after: float) -> float:
        """Return the requests let through per minute, from so many seconds after the start to the last one."""
        start, end = self.started_at + after, self.server.admitted_at[-1]
        return self.server.admitted_between(start, end) / (end - start) * 60

    def tokens_per_minute(self, *, after: float) -> float:
        start, end = self.started_at + after, self.server.admitted_at[-1]
        return sum(tokens for at, tokens in self.server.tokens_charged if start <= at < end) / (end - start) * 60


def sent(
    rule: Callable[[], Rule],
    rows: int | Sequence[Row],
    *,
    latency: Callable[[], float] = lambda: 0.3,
    way: Callable[[], float] = lambda: 0.02,
    has_headers: bool = True,
    out_of_service: Callable[[float], bool] = lambda at: False,
    meanwhile: Callable[[LimitedServer], Awaitable[None]] | None = None,
    **options: int,
) -> Outcome:
    """Send rows to such a server; times are of a loop that starts at 1000."""

    async def main() -> Outcome:
        started_at = now()
        limiter = new_limiter(**options)
        server = LimitedServer(rule(), latency=latency, way=way, has_headers=has_headers, out_of_service=out_of_service)
        other = asyncio.ensure_future(meanwhile(server)) if meanwhile else None
        run = await send_rows(limiter, server, [Row(100)] * rows if isinstance(rows, int) else rows)
        if other is not None:
            other.cancel()
        return Outcome(run, server, limiter, started_at, now() - started_at)

    return run_in_virtual_time(main)


def test_a_hundred_rows_at_sixty_a_minute_are_answered_without_a_429_at_95_percent_of_the_limit() -> None:
    outcome = sent(lambda: CalendarMinute(60), 100)

    assert len(outcome.run.answered_at) == 100
    assert outcome.server.rejected_at == []
    assert outcome.seconds <= 100 / 0.95


def test_plentiful_limits_slow_a_thousand_rows_by_less_than_a_tenth() -> None:
    outcome = sent(lambda: CalendarMinute(10_000_000, 10_000_000_000), 1000)

    alone = -(-1000 // 64) * 0.32
    assert outcome.seconds <= 1.1 * alone


@long_runs
@given(
    limit=st.integers(4, 400),
    offset=st.floats(0, 59),
    seconds=st.floats(0.05, 8),
    is_sliding=st.booleans(),
    seed=st.integers(0, 99),
)
def test_with_headers_the_limit_on_requests_is_used_and_not_passed(
    limit: int, offset: float, seconds: float, is_sliding: bool, seed: int
) -> None:
    dice = random.Random(seed)
    outcome = sent(
        lambda: SlidingMinute(limit) if is_sliding else CalendarMinute(limit, offset=offset),
        8 * limit,
        latency=lambda: dice.uniform(0.5, 1.5) * seconds,
        way=lambda: dice.uniform(0, 0.2),
    )

    assert outcome.run.errors == []
    assert outcome.server.share_rejected <= 0.01
    assert outcome.per_minute(after=60) >= 0.95 * limit
    assert outcome.server.most_in_a_minute() <= limit
    assert outcome.server.most_in_flight <= 64


@long_runs
@given(
    tokens=st.integers(100, 400),
    times_reserved=st.floats(0.5, 6),
    seconds=st.floats(0.1, 4),
    is_sliding=st.booleans(),
    seed=st.integers(0, 99),
)
def test_with_headers_the_limit_on_tokens_is_used_and_not_passed(
    tokens: int, times_reserved: float, seconds: float, is_sliding: bool, seed: int
) -> None:
    dice, limit = random.Random(seed), 50_000
    rows = []
    for _ in range(5 * limit // tokens):
        real = int(tokens * dice.uniform(0.5, 1.5))
        rows.append(Row(reserved=int(tokens * times_reserved), prompt_tokens=real // 2, tokens=real))
    outcome = sent(
        lambda: SlidingMinute(100_000, limit) if is_sliding else CalendarMinute(100_000, limit),
        rows,
        latency=lambda: dice.uniform(0.5, 1.5) * seconds,
        max_concurrency=400,
    )

    assert outcome.run.errors == []
    assert outcome.server.share_rejected <= 0.01
    assert outcome.tokens_per_minute(after=60) >= 0.94 * limit


@pytest.mark.parametrize("offset", [0, 20, 50])
def test_without_headers_the_limit_is_learnt_from_429s(offset: float) -> None:
    outcome = sent(lambda: CalendarMinute(60, offset=offset), 900, has_headers=False)

    assert outcome.run.errors == []
    assert outcome.limiter.requests_per_minute == pytest.approx(60, rel=0.06)
    assert outcome.per_minute(after=180) >= 0.95 * 60
    assert len([at for at in outcome.server.rejected_at if at > outcome.started_at + 180]) <= 0.01 * 900


def test_without_headers_a_limit_per_second_is_learnt_too() -> None:
    outcome = sent(lambda: Bucket(5, capacity=5), 2000, has_headers=False)

    assert outcome.run.errors == []
    assert outcome.per_minute(after=60) >= 0.95 * 300
    assert outcome.server.share_rejected <= 0.01


def test_after_an_idle_minute_there_is_no_burst() -> None:
    async def main() -> int:
        limiter = new_limiter()
        server = LimitedServer(CalendarMinute(60))
        await send_rows(limiter, server, [Row(100)] * 20)
        await asyncio.sleep(90)
        started_at = now()
        await send_rows(limiter, server, [Row(100)] * 20)
        return server.admitted_between(started_at, started_at + 1)

    assert run_in_virtual_time(main) <= 6


def test_what_others_used_of_the_minute_is_not_tried_again() -> None:
    async def main() -> LimitedServer:
        server = LimitedServer(CalendarMinute(60, offset=5))
        for _ in range(40):
            server.rule.admit(1)
        await send_rows(new_limiter(), server, [Row(100)] * 60)
        return server

    assert run_in_virtual_time(main).rejected_at == []


def test_a_limit_that_others_use_half_of_is_shared_with_them() -> None:
    async def another_client(server: LimitedServer) -> None:
        while True:
            server.rule.admit(1)
            await asyncio.sleep(2)

    outcome = sent(lambda: CalendarMinute(60), 200, meanwhile=another_client)

    assert outcome.run.errors == []
    assert outcome.per_minute(after=60) >= 0.95 * 30
    assert outcome.server.share_rejected <= 0.15


def test_a_minute_of_refusals_costs_one_pause_for_all_and_no_row() -> None:
    outcome = sent(lambda: CalendarMinute(600), 600, out_of_service=lambda at: 1005 <= at < 1065, latency=lambda: 2.0)

    assert outcome.run.errors == []
    after_the_first = [at for at in outcome.server.rejected_at if at >= 1006]
    assert len(after_the_first) <= 12
    assert outcome.seconds <= 60 + 60 + 40


def test_a_person_is_answered_while_rows_wait_for_their_turn() -> None:
    async def main() -> float:
        limiter = new_limiter()
        server = LimitedServer(CalendarMinute(60))
        rows = asyncio.create_task(send_rows(limiter, server, [Row(100)] * 200))
        await asyncio.sleep(70)
        asked_at = now()
        await send_row(limiter, server, Row(100), is_urgent=True)
        waited = now() - asked_at
        rows.cancel()
        await asyncio.gather(rows, return_exceptions=True)
        return waited

    assert run_in_virtual_time(main) <= 2
