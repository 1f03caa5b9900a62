import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mistral_nb.engine.retry import RetryPolicy
from mistral_nb.errors import (
    CannotConnect,
    ConnectionLost,
    InvalidKey,
    MistralNotebookError,
    RateLimited,
    ServerProblem,
)

AT_ONCE = RetryPolicy(max_attempts=4, first_wait_seconds=0)


class Flaky:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, error: MistralNotebookError) -> None:
        self.failures = failures
        self.error = error
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


def test_a_call_that_fails_twice_is_tried_a_third_time() -> None:
    assert asyncio.run(AT_ONCE.attempt(Flaky(2, ServerProblem("503")))) == "answer"


def test_the_last_error_is_raised_when_every_attempt_failed() -> None:
    call = Flaky(10, ServerProblem("503"))

    with pytest.raises(ServerProblem):
        asyncio.run(AT_ONCE.attempt(call))
    assert call.calls == 4


def test_an_error_that_waiting_cannot_cure_is_raised_at_once() -> None:
    call = Flaky(10, InvalidKey("401"))

    with pytest.raises(InvalidKey):
        asyncio.run(AT_ONCE.attempt(call))
    assert call.calls == 1


@pytest.mark.parametrize(
    ("error", "calls"),
    [(ServerProblem("503"), 5), (ConnectionLost("cut"), 5), (CannotConnect("refused"), 3), (RateLimited("429"), 12)],
    ids=lambda value: type(value).__name__,
)
def test_patience_depends_on_what_is_wrong(error: MistralNotebookError, calls: int) -> None:
    call = Flaky(100, error)

    with pytest.raises(type(error)):
        asyncio.run(RetryPolicy(first_wait_seconds=0).attempt(call))
    assert call.calls == calls


def test_a_wait_that_the_server_names_is_kept() -> None:
    assert RetryPolicy().wait_seconds(1, ServerProblem("503", retry_after_seconds=12)) == 12


def test_a_wait_that_the_server_names_is_capped() -> None:
    assert RetryPolicy(max_wait_seconds=30).wait_seconds(1, ServerProblem("503", retry_after_seconds=3600)) == 30


@pytest.mark.parametrize("retry_after_seconds", [None, 12.0])
def test_a_reached_limit_is_waited_for_by_the_limiter_alone(retry_after_seconds: float | None) -> None:
    assert RetryPolicy().wait_seconds(3, RateLimited("429", retry_after_seconds=retry_after_seconds)) == 0


class Clock:
    """Time that passes while something sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_no_attempt_begins_after_the_time_for_a_request_is_over() -> None:
    clock = Clock()
    policy = RetryPolicy(max_attempts=100, max_seconds=60, clock=clock, sleep=clock.sleep)
    started_at = []

    async def call() -> None:
        started_at.append(clock.now)
        clock.now += 7
        raise ServerProblem("503")

    with pytest.raises(ServerProblem):
        asyncio.run(policy.attempt(call))
    assert 1 < len(started_at) < 100
    assert started_at[-1] <= 1060


def test_a_first_attempt_that_takes_long_is_not_repeated() -> None:
    clock = Clock()
    policy = RetryPolicy(max_seconds=60, clock=clock, sleep=clock.sleep)
    call = Flaky(1, ServerProblem("504"))

    async def slow_call() -> str:
        clock.now += 61
        return await call()

    with pytest.raises(ServerProblem):
        asyncio.run(policy.attempt(slow_call))
    assert call.calls == 1


@given(attempts=st.integers(min_value=1, max_value=500))
def test_a_wait_is_never_longer_than_the_cap(attempts: int) -> None:
    assert 0 <= RetryPolicy(max_wait_seconds=30).wait_seconds(attempts, ServerProblem("503")) <= 30
