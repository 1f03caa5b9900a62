"""How long the hosted backend waits, and how it is interrupted."""

import asyncio
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import pytest

from mistral_nb.backends import sdk_client
from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.errors import RequestTimedOut
from tests.backends.hosting import ask, deltas, question
from tests.fake_api import FakeApi, Fault


@pytest.fixture
def fake() -> Iterator[FakeApi]:
    with FakeApi() as server:
        yield server


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_server_that_says_nothing_is_given_up(is_stream: bool) -> None:
    with FakeApi(latency_seconds=30) as slow, pytest.raises(RequestTimedOut, match=r"0\.2 s"):
        ask(
            slow,
            lambda backend: deltas(backend, question()) if is_stream else backend.complete(question()),
            timeout_seconds=0.2,
        )


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_server_that_says_it_ever_so_slowly_is_given_up(fake: FakeApi, is_stream: bool) -> None:
    fake.play(Fault(bytes_per_second=50))

    with pytest.raises(RequestTimedOut):
        ask(
            fake,
            lambda backend: deltas(backend, question()) if is_stream else backend.complete(question()),
            timeout_seconds=0.4,
        )


def test_time_that_the_reader_of_a_stream_takes_does_not_count(fake: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(sdk_client, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    async def read_slowly(backend: HostedBackend) -> str:
        text = ""
        async for delta in backend.stream(question("one two three")):
            text += delta.text
            clock[0] += 1000.0
        return text

    assert ask(fake, read_slowly, timeout_seconds=60.0) == "Answer to: one two three"


@pytest.mark.parametrize("is_stream", [False, True])
def test_cancelling_a_call_closes_its_connection(is_stream: bool) -> None:
    async def cancel_it(server: FakeApi, backend: HostedBackend) -> None:
        task = asyncio.ensure_future(deltas(backend, question()) if is_stream else backend.complete(question()))
        await until(lambda: server.stats.in_flight == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: server.stats.in_flight == 0)

    with FakeApi(latency_seconds=30) as slow:
        ask(slow, lambda backend: cancel_it(slow, backend))

        assert slow.stats.in_flight == 0


async def until(is_so: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while not is_so():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
