"""What one small chat request costs in CPU, by client: bare aiohttp, bare httpx2, the SDK, and the rows' own wire.

Keeps to itself: the server, which runs in a process of its own, so that only the client's CPU is counted.
Promises: all clients send the same body; each is warmed up first, and the repetitions take turns, so that what else the machine
does falls on all alike. The median repetition is printed.

    python -m tests.bench.wire [--requests 2000] [--in-flight 64] [--latency 0 0.3] [--repetitions 3]
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from mistral_nb.backends.hosted import HostedBackend
from mistral_nb.backends.row_wire import CHAT_PATH, json_body
from mistral_nb.completion import CompletionRequest

KEY = "fake-api-key"
REQUEST = CompletionRequest(
    model="mistral-small-latest",
    messages=(
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Which river runs through Paris?"},
    ),
    temperature=0.0,
    max_tokens=50,
)

Send = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one request."""

    cpu_milliseconds: float
    requests_per_second: float


@asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncIterator[Send]:
    import aiohttp

    body, headers = json_body(REQUEST.body()), {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers=headers, raise_for_status=True) as client:

        async def send() -> None:
            async with client.post(url + CHAT_PATH, data=body) as response:
                await response.read()

        yield send


@asynccontextmanager
async def bare_httpx2(url: str) -> AsyncIterator[Send]:
    import httpx2

    body, headers = json_body(REQUEST.body()), {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx2.AsyncClient(headers=headers, limits=limits, timeout=60) as client:

        async def send() -> None:
            (await client.post(url + CHAT_PATH, content=body)).raise_for_status()

        yield send


@asynccontextmanager
async def sdk(url: str) -> AsyncIterator[Send]:
    async with hosted(url) as backend:
        yield lambda: backend.complete(REQUEST)


@asynccontextmanager
async def row_wire(url: str) -> AsyncIterator[Send]:
    async with hosted(url) as backend:
        yield lambda: backend.complete_row(REQUEST)


@asynccontextmanager
async def hosted(url: str) -> AsyncIterator[HostedBackend]:
    backend = HostedBackend(endpoint=url, api_key=KEY)
    try:
        yield backend
    finally:
        await backend.aclose()


CLIENTS = {
    "bare aiohttp": bare_aiohttp,
    "bare httpx2": bare_httpx2,
    "the SDK (complete)": sdk,
    "row wire (complete_row)": row_wire,
}


async def cost(client: str, url: str, *, requests: int, in_flight: int) -> Cost:
    """Return what each of so many requests costs."""

    async def work(todo: Iterator[int]) -> None:
        for _ in todo:
            await send()

    async with CLIENTS[client](url) as send:
        warming_up = iter(range(in_flight))
        await asyncio.gather(*(work(warming_up) for _ in range(in_flight)))
        todo = iter(range(requests))
        started, cpu_started = time.perf_counter(), time.process_time()
        await asyncio.gather(*(work(todo) for _ in range(in_flight)))
        cpu, seconds = time.process_time() - cpu_started, time.perf_counter() - started
    return Cost(cpu_milliseconds=1000 * cpu / requests, requests_per_second=requests / seconds)


@contextmanager
def server(latency_seconds: float) -> Iterator[str]:
    """Serve the fake API in a process of its own; give its address."""
    command = [sys.executable, "-m", "tests.fake_api", "--key", KEY, "--latency", str(latency_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield child.stdout.readline().strip()
        finally:
            child.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.wire", description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.3], metavar="SECONDS")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    print(f"{'client':<26}{'latency s':>10}{'CPU ms/request':>16}{'over aiohttp':>14}{'requests/s':>12}")
    for latency in options.latency:
        with server(latency) as url:
            found: dict[str, list[Cost]] = {client: [] for client in CLIENTS}
            for _ in range(options.repetitions):
                for client, costs in found.items():
                    costs.append(asyncio.run(cost(client, url, requests=options.requests, in_flight=options.in_flight)))
        baseline = 0.0
        for client, costs in found.items():
            cpu = statistics.median(cost.cpu_milliseconds for cost in costs)
            rate = statistics.median(cost.requests_per_second for cost in costs)
            baseline = baseline or cpu
            print(f"{client:<26}{latency:>10g}{cpu:>16.3f}{cpu - baseline:>+14.3f}{rate:>12.0f}")


if __name__ == "__main__":
    main()
