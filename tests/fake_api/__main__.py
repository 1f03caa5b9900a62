"""Runs the server until it is interrupted; prints its URL on the first line, for scripts that wait for it."""

import argparse
import signal
import sys
import threading

from tests.fake_api import FakeApi


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.fake_api", description="A local stand-in for api.mistral.ai."
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (any free one)")
    parser.add_argument("--key", default="fake-api-key", help="the API key that is right (%(default)s)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS", help="wait before each answer")
    parser.add_argument("--latency-per-row", type=float, default=0.0, metavar="SECONDS", help="and for each row")
    parser.add_argument("--stream-interval", type=float, default=0.0, metavar="SECONDS", help="wait between two events")
    parser.add_argument("--rpm", type=int, default=10_000_000, help="requests per minute and model")
    parser.add_argument("--tpm", type=int, default=10_000_000_000, help="tokens per minute and model")
    parser.add_argument("--log-limit", type=int, default=10_000, help="requests kept for /_fake/requests")
    asked = parser.parse_args()
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda *_: stopped.set())
    with FakeApi(
        port=asked.port,
        api_key=asked.key,
        latency_seconds=asked.latency,
        latency_per_row_seconds=asked.latency_per_row,
        stream_interval_seconds=asked.stream_interval,
        limit_requests_per_minute=asked.rpm,
        limit_tokens_per_minute=asked.tpm,
        log_limit=asked.log_limit,
    ) as server:
        print(server.url, flush=True)
        stopped.wait()
    sys.exit(0)


if __name__ == "__main__":
    main()
