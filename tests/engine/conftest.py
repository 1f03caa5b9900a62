"""Servers as the row engine meets them: one with few requests a minute, one that can be held back."""

from collections.abc import Iterator

import pytest

import mistral_nb
from tests.engine.row_runs import Gate
from tests.fake_api import FakeApi


@pytest.fixture
def few_at_once(api: FakeApi) -> FakeApi:
    """Let 5 requests go at once, and say so beforehand: more rows than that share requests."""
    mistral_nb.configure(requests_per_minute=60)
    return api


@pytest.fixture
def one_at_a_time(api: FakeApi) -> None:
    """Send a request when the one before is answered.

    Who waits for a limit moves `QuickTime` on; a request that is on its way meanwhile would reach the server minutes late.
    """
    mistral_nb.configure(max_concurrency=1)


@pytest.fixture
def gate(api: FakeApi) -> Iterator[Gate]:
    held_back = Gate(api)
    yield held_back
    held_back.open()
