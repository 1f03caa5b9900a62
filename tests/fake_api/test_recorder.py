"""The log and the counters say what happened, and never the key."""

import asyncio

import httpx2

from tests.fake_api import FakeApi, Fault
from tests.fake_api.asking import CHAT, asked


class Gate:
    """A `sleep` that ends for all when so many have come."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._all_here = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self._count -= 1
        if self._count == 0:
            self._all_here.set()
        await self._all_here.wait()


def test_has_what_was_asked_and_answered_but_not_the_key(server: FakeApi, client: httpx2.Client) -> None:
    client.post(CHAT, json=asked("Hi"), headers={"x-mine": "1"})
    (seen,) = server.requests

    assert (seen.method, seen.path, seen.text, seen.status, seen.headers["x-mine"]) == (
        "POST",
        CHAT,
        "Hi",
        200,
        "1",
    )
    assert server.api_key not in str(seen)


def test_counts_statuses_and_tokens(server: FakeApi, client: httpx2.Client) -> None:
    usage = client.post(CHAT, json=asked()).json()["usage"]
    client.post(CHAT, json=asked(model="nope"))

    assert server.stats.statuses == {200: 1, 400: 1}
    assert server.stats.prompt_tokens + server.stats.completion_tokens == usage["total_tokens"]


def test_knows_how_many_were_in_flight_at_once() -> None:
    async def ask(server: FakeApi) -> None:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {server.api_key}"}) as client:
            await asyncio.gather(*(client.post(server.url + CHAT, json=asked()) for _ in range(8)))

    gate = Gate(8)
    with FakeApi(sleep=gate, latency_seconds=1) as server:
        asyncio.run(ask(server))

        assert server.stats.max_in_flight == 8


def test_is_empty_after_a_reset(server: FakeApi, client: httpx2.Client) -> None:
    server.play(Fault(status=500, times=None))
    client.post(CHAT, json=asked())
    server.reset()

    assert (server.requests, server.stats.requests, client.post(CHAT, json=asked()).status_code) == ([], 0, 200)


def test_can_be_read_and_reset_over_http(server: FakeApi, client: httpx2.Client) -> None:
    client.post(CHAT, json=asked())
    before = client.get("/_fake/stats").json()["requests"]
    client.post("/_fake/reset")

    assert (before, client.get("/_fake/requests").json()) == (1, [])


def test_takes_faults_over_http(server: FakeApi, client: httpx2.Client) -> None:
    client.post("/_fake/faults", json=[{"status": 503, "when": "Hi"}])

    assert client.post(CHAT, json=asked("Hi")).status_code == 503


def test_names_a_fault_field_it_does_not_know(client: httpx2.Client) -> None:
    response = client.post("/_fake/faults", json={"staus": 503})

    assert (response.status_code, "staus" in response.text) == (400, True)
