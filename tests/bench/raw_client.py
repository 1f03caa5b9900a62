"""The baseline: the same bodies, sent by the least code that aiohttp needs, so many at once and no further thought.

Promises: started as a module it reads a spec as JSON and prints seconds, processor seconds and statuses as JSON; what it imports
is not in the time.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import aiohttp


async def send(url: str, bodies: list[bytes], *, api_key: str, requests: int, in_flight: int) -> dict[str, Any]:
    """Send so many requests, taking the bodies in turn; return seconds, processor seconds and how often each status came."""
    statuses: Counter[int] = Counter()
    todo = islice(cycle(bodies), requests)
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    timeout = aiohttp.ClientTimeout(total=300)
    started, cpu_started = time.perf_counter(), time.process_time()
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as client:

        async def work() -> None:
            for body in todo:
                async with client.post(f"{url}/v1/chat/completions", data=body) as response:
                    await response.read()
                    statuses[response.status] += 1

        await asyncio.gather(*(work() for _ in range(in_flight)))
    return {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "statuses": statuses,
    }


def main() -> None:
    spec = json.load(sys.stdin)
    bodies = [line.encode() for line in Path(spec["bodies"]).read_text(encoding="utf-8").splitlines()]
    sent = send(spec["url"], bodies, api_key=spec["api_key"], requests=spec["requests"], in_flight=spec["in_flight"])
    print(json.dumps(asyncio.run(sent)))


if __name__ == "__main__":
    main()
