"""Measures how many small chat completions a second the server answers, from a process of its own.

On one core each::

    taskset -c 0 python -m tests.fake_api --port 8123 &
    taskset -c 1 python -m tests.fake_api.load http://127.0.0.1:8123
"""

import argparse
import asyncio
import json
import time

import aiohttp

_BODY = {
    "model": "mistral-small-latest",
    "messages": [
        {"role": "system", "content": "You are brief."},
        {"role": "user", "content": "Which river runs through Paris?"},
    ],
    "max_tokens": 50,
    "temperature": 0,
}


async def requests_per_second(url: str, *, api_key: str, requests: int, in_flight: int) -> float:
    """Return the rate at which `requests` requests, `in_flight` at a time, are answered."""
    body = json.dumps(_BODY).encode()
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    todo = iter(range(requests))
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, headers=headers, raise_for_status=True) as client:

        async def work() -> None:
            for _ in todo:
                async with client.post(f"{url}/v1/chat/completions", data=body) as response:
                    await response.read()

        started_at = time.perf_counter()
        await asyncio.gather(*(work() for _ in range(in_flight)))
        return requests / (time.perf_counter() - started_at)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fake_api.load", description="How fast the fake API answers.")
    parser.add_argument("url")
    parser.add_argument("--key", default="fake-api-key")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--in-flight", type=int, default=64)
    asked = parser.parse_args()
    rate = asyncio.run(
        requests_per_second(asked.url, api_key=asked.key, requests=asked.requests, in_flight=asked.in_flight)
    )
    print(f"{rate:.0f} requests/s")


if __name__ == "__main__":
    main()
