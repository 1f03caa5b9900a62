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
    assert RetryPolicy().wait_seconds(1, RateLimited("429", retry_after_seconds=12)) == 12


def test_a_wait_that_the_server_names_is_capped() -> None:
    assert RetryPolicy(max_wait_seconds=30).wait_seconds(1, RateLimited("429", retry_after_seconds=3600)) == 30


@given(attempts=st.integers(min_value=1, max_value=500))
def test_a_wait_is_never_longer_than_the_cap(attempts: int) -> None:
    assert 0 <= RetryPolicy(max_wait_seconds=30).wait_seconds(attempts, ServerProblem("503")) <= 30
